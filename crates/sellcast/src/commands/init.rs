//! `sellcast init`: from the URL of a shop's database to a `sellcast.toml`, with reasons. It shows what it found and asks
//! only what it cannot know.

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use sellcast_warehouse::{Answers, DiscoverError, Discovery, Proposal, ShopAnswers, SourceError, filled_address};

use super::init_file::{Source, Written};
use super::init_talk::{self, Talk};
use super::{Failure, print, print_json, usage};

#[derive(Args)]
pub(super) struct Init {
    /// The shop's database: postgres://user:password@host/database, mysql://..., sqlite:path/to/shop.db. `${NAME}` stands
    /// for a variable of the environment.
    #[arg(long, value_name = "URL")]
    source: String,
    /// Data folder that gets the sellcast.toml.
    #[arg(long, value_name = "DIR", default_value = "./sellcast-data")]
    dir: PathBuf,
    /// Take the best of every choice; never ask.
    #[arg(long)]
    yes: bool,
    /// Print the proposal as JSON and write nothing.
    #[arg(long)]
    json: bool,
    /// Write over a sellcast.toml that is there already.
    #[arg(long)]
    force: bool,
    /// Take this table for an entity (transactions, products, categories, customers, promotions); may be repeated.
    #[arg(long, value_name = "ENTITY=TABLE", value_parser = entity_and_table)]
    table: Vec<(String, String)>,
    /// Name of the shop, as the pages show it.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// ISO 4217 (default: what the tables or the country tell).
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// IANA name of the zone that shop days are counted in (default: the database's).
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// ISO 3166 alpha-2, for public holidays (default: what the time zone tells).
    #[arg(long, value_name = "CODE")]
    country: Option<String>,
}

fn entity_and_table(text: &str) -> Result<(String, String), String> {
    let (entity, table) = text.split_once('=').ok_or("write ENTITY=TABLE, such as products=articles")?;
    Ok((entity.trim().to_owned(), table.trim().to_owned()))
}

impl Init {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let file = self.dir.join("sellcast.toml");
        if file.exists() && !self.force && !self.json {
            return Err(usage(anyhow::anyhow!(
                "`{}` is there already; `--force` writes over it, `--dir` takes another folder, `--json` only shows the proposal",
                file.display()
            )));
        }
        let shop = ShopAnswers { currency: self.currency, time_zone: self.time_zone, country: self.country };
        let mut answers = Answers { tables: self.table, shop };
        let here = std::env::current_dir().context("cannot tell the current folder")?;
        let source = Source::new(&self.source, &here);
        let url = filled_address(&self.source, |name| std::env::var(name).ok()).map_err(|fault| usage(anyhow::anyhow!(fault)))?;
        let looked = Discovery::open(&url, &here).await;
        let mut discovery = looked.map_err(failure)?;
        let mut proposal = discovery.propose(&answers).await.map_err(failure)?;
        if self.json {
            return print_json(&proposal);
        }
        let asks = !self.yes && std::io::stdin().is_terminal();
        while asks && talk(&proposal, &mut answers)? {
            proposal = discovery.propose(&answers).await.map_err(failure)?;
        }
        print(&init_talk::shown(&proposal));
        let written = Written { source: &source, name: self.name.as_deref(), proposal: &proposal };
        written.save(&file)?;
        print(&written.ending(&self.dir, &file));
        Ok(())
    }
}

/// Asks what cannot be known; is there an answer that may change the proposal?
fn talk(proposal: &Proposal, answers: &mut Answers) -> std::io::Result<bool> {
    let mut talk = Talk::new(std::io::stdin().lock(), std::io::stderr());
    Ok(talk.tables(proposal, answers)? || talk.shop(proposal, answers)?)
}

fn failure(error: DiscoverError) -> Failure {
    let is_usage = matches!(
        error,
        DiscoverError::Source(SourceError::UnknownScheme(_))
            | DiscoverError::NotADatabase
            | DiscoverError::NoSuchEntity(_)
            | DiscoverError::NoSuchTable { .. }
            | DiscoverError::Unfit { .. }
            | DiscoverError::WrongAnswer { .. }
    );
    Failure { error: error.into(), code: if is_usage { 2 } else { 1 } }
}
