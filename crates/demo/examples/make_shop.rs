//! Makes a demo shop database without the rest of sellcast: `make_shop FILE UNTIL_DAY`, for trying out queries.

use std::env;
use std::path::Path;

use anyhow::{Context, Result};
use sellcast_demo::{create_shop, data_folder};

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let (file, until) = arguments.next().zip(arguments.next()).context("usage: make_shop FILE UNTIL_DAY")?;
    let summary = create_shop(Path::new(&file), &data_folder()?, until.parse()?, &|_, _| {}).await?;
    eprintln!("{summary:?}");
    Ok(())
}
