-- Spree: Rails tables without foreign keys, in the shape that it publishes, with fewer columns.
create table spree_products (id bigserial primary key, name varchar not null default '', description text, available_on timestamp, deleted_at timestamp,
  slug varchar, meta_description text, tax_category_id bigint, shipping_category_id bigint, created_at timestamp(6) not null, updated_at timestamp(6) not null,
  promotionable boolean default true, status varchar not null default 'active');
create table spree_variants (id bigserial primary key, sku varchar not null default '', weight numeric(8,2) default 0, deleted_at timestamp, is_master boolean default false,
  product_id bigint, cost_price numeric(10,2), position integer, cost_currency varchar, updated_at timestamp(6) not null, created_at timestamp(6) not null);
create table spree_prices (id bigserial primary key, variant_id bigint not null, amount numeric(10,2), currency varchar, deleted_at timestamp,
  created_at timestamp(6) not null, updated_at timestamp(6) not null, compare_at_amount numeric(10,2));
create table spree_taxonomies (id bigserial primary key, name varchar not null, created_at timestamp(6), updated_at timestamp(6), position integer default 0);
create table spree_taxons (id bigserial primary key, parent_id bigint, position integer default 0, name varchar not null, permalink varchar, taxonomy_id bigint,
  lft bigint, rgt bigint, description text, created_at timestamp(6), updated_at timestamp(6), meta_title varchar, depth integer);
create table spree_products_taxons (id bigserial primary key, product_id bigint, taxon_id bigint, position integer, created_at timestamp(6), updated_at timestamp(6));
create table spree_users (id bigserial primary key, encrypted_password varchar(128), email varchar, login varchar, ship_address_id bigint, bill_address_id bigint,
  sign_in_count integer not null default 0, last_sign_in_at timestamp, last_sign_in_ip varchar, created_at timestamp(6) not null, updated_at timestamp(6) not null);
create table spree_orders (id bigserial primary key, number varchar(32), item_total numeric(10,2) not null default 0, total numeric(10,2) not null default 0, state varchar,
  adjustment_total numeric(10,2) not null default 0, user_id bigint, completed_at timestamp, bill_address_id bigint, ship_address_id bigint,
  payment_total numeric(10,2) default 0, shipment_state varchar, payment_state varchar, email varchar, special_instructions text,
  currency varchar, created_at timestamp(6) not null, updated_at timestamp(6) not null, canceled_at timestamp, approved_at timestamp);
create table spree_line_items (id bigserial primary key, variant_id bigint, order_id bigint, quantity integer not null, price numeric(10,2) not null,
  created_at timestamp(6) not null, updated_at timestamp(6) not null, currency varchar, cost_price numeric(10,2), tax_category_id bigint,
  adjustment_total numeric(10,2) default 0, additional_tax_total numeric(10,2) default 0, promo_total numeric(10,2) default 0,
  included_tax_total numeric(10,2) not null default 0, pre_tax_amount numeric(12,4) not null default 0);
create table spree_addresses (id bigserial primary key, firstname varchar, lastname varchar, address1 varchar, city varchar, zipcode varchar, user_id bigint);
create table spree_stock_items (id bigserial primary key, stock_location_id bigint, variant_id bigint, count_on_hand integer not null default 0, created_at timestamp(6), updated_at timestamp(6));
create table spree_shipments (id bigserial primary key, tracking varchar, number varchar, cost numeric(10,2), shipped_at timestamp, order_id bigint, state varchar, created_at timestamp(6), updated_at timestamp(6));
create table spree_adjustments (id bigserial primary key, source_type varchar, source_id bigint, adjustable_type varchar, adjustable_id bigint, amount numeric(10,2), label varchar, order_id bigint not null, created_at timestamp(6), updated_at timestamp(6));
