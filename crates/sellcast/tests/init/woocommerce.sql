-- WooCommerce on WordPress: the tables that its reports read, in the shape that it publishes, with fewer columns.
create table wp_posts (ID bigint unsigned not null auto_increment primary key, post_author bigint unsigned not null default 0,
  post_date datetime not null, post_date_gmt datetime not null, post_content longtext not null, post_title text not null,
  post_status varchar(20) not null default 'publish', post_name varchar(200) not null default '', post_modified datetime not null,
  post_modified_gmt datetime not null, post_parent bigint unsigned not null default 0, post_type varchar(20) not null default 'post');
create table wp_postmeta (meta_id bigint unsigned not null auto_increment primary key, post_id bigint unsigned not null default 0,
  meta_key varchar(255), meta_value longtext);
create table wp_options (option_id bigint unsigned not null auto_increment primary key, option_name varchar(191) not null, option_value longtext not null);
create table wp_users (ID bigint unsigned not null auto_increment primary key, user_login varchar(60) not null, user_pass varchar(255) not null,
  user_email varchar(100) not null, user_registered datetime not null, display_name varchar(250) not null);
create table wp_terms (term_id bigint unsigned not null auto_increment primary key, name varchar(200) not null, slug varchar(200) not null);
create table wp_term_taxonomy (term_taxonomy_id bigint unsigned not null auto_increment primary key, term_id bigint unsigned not null,
  taxonomy varchar(32) not null, description longtext not null, parent bigint unsigned not null default 0, count bigint not null default 0);
create table wp_term_relationships (object_id bigint unsigned not null, term_taxonomy_id bigint unsigned not null, term_order int not null default 0,
  primary key (object_id, term_taxonomy_id));
create table wp_wc_order_stats (order_id bigint unsigned not null primary key, parent_id bigint unsigned not null default 0,
  date_created datetime not null, date_created_gmt datetime not null, date_paid datetime, date_completed datetime, num_items_sold int not null default 0,
  total_sales double not null default 0, tax_total double not null default 0, shipping_total double not null default 0,
  net_total double not null default 0, returning_customer tinyint(1), status varchar(200) not null, customer_id bigint unsigned not null);
create table wp_wc_order_product_lookup (order_item_id bigint unsigned not null primary key, order_id bigint unsigned not null,
  product_id bigint unsigned not null, variation_id bigint unsigned not null, customer_id bigint unsigned, date_created datetime not null,
  product_qty int not null, product_net_revenue double not null default 0, product_gross_revenue double not null default 0,
  coupon_amount double not null default 0, tax_amount double not null default 0, shipping_amount double not null default 0);
create table wp_wc_customer_lookup (customer_id bigint unsigned not null auto_increment primary key, user_id bigint unsigned, username varchar(60) not null,
  first_name varchar(255) not null, last_name varchar(255) not null, email varchar(100), date_last_active timestamp null, date_registered timestamp null,
  country char(2) not null default '', postcode varchar(20) not null default '', city varchar(100) not null default '');
create table wp_wc_product_meta_lookup (product_id bigint not null primary key, sku varchar(100), min_price decimal(19,4), max_price decimal(19,4),
  onsale tinyint(1) default 0, stock_quantity double, stock_status varchar(100) default 'instock', total_sales bigint default 0);
