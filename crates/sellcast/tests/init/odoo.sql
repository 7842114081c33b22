-- Odoo: names in all languages in one JSON column, variants and templates, foreign keys everywhere; with fewer columns.
create table res_users (id serial primary key, login varchar not null, partner_id integer, active boolean, create_date timestamp, write_date timestamp);
create table res_partner (id serial primary key, name varchar, email varchar, phone varchar, is_company boolean, active boolean, parent_id integer references res_partner,
  user_id integer references res_users, create_uid integer references res_users, create_date timestamp, write_uid integer references res_users, write_date timestamp);
create table product_category (id serial primary key, parent_id integer references product_category, name varchar not null, complete_name varchar, parent_path varchar,
  create_uid integer references res_users, create_date timestamp, write_uid integer references res_users, write_date timestamp);
create table product_template (id serial primary key, name jsonb not null, description jsonb, description_sale jsonb, type varchar not null, categ_id integer not null references product_category,
  list_price numeric, default_code varchar, sale_ok boolean, active boolean,
  create_uid integer references res_users, create_date timestamp, write_uid integer references res_users, write_date timestamp);
create table product_product (id serial primary key, product_tmpl_id integer not null references product_template, default_code varchar, barcode varchar, active boolean,
  standard_price jsonb, create_uid integer references res_users, create_date timestamp, write_uid integer references res_users, write_date timestamp);
create table sale_order (id serial primary key, name varchar not null, state varchar, partner_id integer not null references res_partner,
  partner_invoice_id integer not null references res_partner, partner_shipping_id integer not null references res_partner, user_id integer references res_users,
  date_order timestamp not null, validity_date date, commitment_date timestamp, amount_untaxed numeric, amount_tax numeric, amount_total numeric, note text,
  create_uid integer references res_users, create_date timestamp, write_uid integer references res_users, write_date timestamp);
create table sale_order_line (id serial primary key, order_id integer not null references sale_order, sequence integer, product_id integer references product_product,
  order_partner_id integer references res_partner, name text not null, display_type varchar, state varchar, product_uom_qty numeric not null, qty_delivered numeric, qty_invoiced numeric,
  price_unit numeric not null, discount numeric, price_subtotal numeric, price_tax double precision, price_total numeric, price_reduce_taxexcl numeric, customer_lead double precision,
  create_uid integer references res_users, create_date timestamp, write_uid integer references res_users, write_date timestamp);
create table purchase_order_line (id serial primary key, product_id integer references product_product, partner_id integer references res_partner, name text, product_qty numeric,
  price_unit numeric, price_total numeric, date_order timestamp, create_date timestamp, write_date timestamp);
create table stock_move (id serial primary key, product_id integer not null references product_product, product_uom_qty numeric, price_unit numeric, date timestamp, state varchar,
  sale_line_id integer references sale_order_line, create_date timestamp, write_date timestamp);
