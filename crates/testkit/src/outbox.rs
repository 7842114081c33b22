//! What the owner of a SQLite shop adds so that its sales can be followed: a table of changes, triggers that fill it, and the
//! queries of `[stream.outbox]` that read it.

/// The newest change.
pub const NEWEST: &str = "select coalesce(max(change_id), 0) from changes";

/// Changes from a position on.
pub const CHANGES: &str = "
select c.change_id as position, 'sales' as entity, c.op,
       json_object('sale_id', c.row_id, 'product_id', c.row ->> 'product_id', 'customer_id', o.customer_id,
                   'quantity', c.row ->> 'quantity', 'total_price', c.row ->> 'total_price', 'occurred_at', o.ordered_at) as row
from changes c join orders o on o.order_id = c.row ->> 'order_id'
where c.table_name = 'order_lines' and c.change_id >= ?1
union all
select change_id, 'products', op, row from changes where table_name = 'products' and change_id >= ?1
order by position limit ?2";

/// Everything that stands in the tables, products first.
pub const SNAPSHOT: &str = "
select 'products' as entity, json_object('product_id', product_id, 'category_id', category_id) as row from products
union all
select 'sales', json_object('sale_id', line_id, 'product_id', product_id, 'customer_id', customer_id,
                            'quantity', quantity, 'total_price', total_price, 'occurred_at', ordered_at)
from order_lines join orders using (order_id)";

/// The statements that make the table of changes and its triggers over `order_lines` and `products`.
pub fn tables() -> String {
    let mut sql = String::from(
        "create table changes (change_id integer primary key autoincrement, table_name text, row_id integer, op text, row text);",
    );
    let line = ["order_id", "product_id", "quantity", "total_price"];
    for (table, key, columns) in [("order_lines", "line_id", &line[..]), ("products", "product_id", &["product_id", "category_id"])] {
        for (op, row) in [("insert", "new"), ("update", "new"), ("delete", "old")] {
            let json: Vec<String> = columns.iter().map(|column| format!("'{column}', {row}.{column}")).collect();
            sql += &format!(
                "\ncreate trigger {table}_{op} after {op} on {table} begin insert into changes (table_name, row_id, op, row)
                values ('{table}', {row}.{key}, '{op}', json_object({})); end;",
                json.join(", ")
            );
        }
    }
    sql
}
