//! What `init` says and asks: the proposal in plain words with rows of each entity, and questions where tables are almost
//! equally likely or nothing tells currency, time zone or country.

use std::fmt::Write as _;
use std::io::{BufRead, Write};

use sellcast_warehouse::{Answers, EntityProposal, Proposal, Sample};

/// Longer values are cut in the table of sample rows.
const MOST_LETTERS: usize = 24;

/// Questions to a person.
pub(super) struct Talk<R, W> {
    from: R,
    to: W,
}

impl<R: BufRead, W: Write> Talk<R, W> {
    pub(super) fn new(from: R, to: W) -> Self {
        Self { from, to }
    }

    /// Asks about entities whose table has close rivals; was anything answered that changes the proposal?
    pub(super) fn tables(&mut self, proposal: &Proposal, answers: &mut Answers) -> std::io::Result<bool> {
        let mut changed = false;
        for entity in &proposal.entities {
            let rivals: Vec<&str> = entity.rivals().map(|rival| rival.table.as_str()).collect();
            if rivals.is_empty() || answers.tables.iter().any(|(named, _)| named == entity.entity) {
                continue;
            }
            writeln!(self.to, "which table holds the {}?", entity.entity)?;
            writeln!(self.to, "  1) {}: {}", entity.table, entity.reasons.join("; "))?;
            for (number, rival) in (2..).zip(&rivals) {
                writeln!(self.to, "  {number}) {rival}")?;
            }
            let answer = self.ask("number", "1")?;
            let other = answer.parse::<usize>().ok().and_then(|number| number.checked_sub(2)).and_then(|at| rivals.get(at));
            // The best one counts as chosen, too, and is not asked about again.
            answers.tables.push((entity.entity.to_owned(), other.map_or_else(|| entity.table.clone(), |table| (*table).to_owned())));
            changed |= other.is_some();
        }
        Ok(changed)
    }

    /// Asks the next thing about the shop that nothing tells, if there is one: what is said may tell the others.
    pub(super) fn shop(&mut self, proposal: &Proposal, answers: &mut Answers) -> std::io::Result<bool> {
        let (shop, said) = (&proposal.shop, &mut answers.shop);
        let questions = [
            ("time zone of the shop (IANA name)", &shop.time_zone, &mut said.time_zone),
            ("country for public holidays (ISO 3166, two letters; empty for none)", &shop.country, &mut said.country),
            ("currency (ISO 4217)", &shop.currency, &mut said.currency),
        ];
        let open = questions.into_iter().find(|(_, guess, answer)| guess.is_default && answer.is_none());
        let Some((question, guess, answer)) = open else { return Ok(false) };
        *answer = Some(self.ask(question, &guess.value)?);
        Ok(true)
    }

    /// An answer; an empty one is the default.
    fn ask(&mut self, question: &str, default: &str) -> std::io::Result<String> {
        write!(self.to, "{question} [{default}]: ")?;
        self.to.flush()?;
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        let answer = line.trim();
        Ok(if answer.is_empty() { default.to_owned() } else { answer.to_owned() })
    }
}

/// The proposal for a person.
pub(super) fn shown(proposal: &Proposal) -> String {
    let mut text = String::new();
    if let Some(platform) = proposal.platform {
        let _ = writeln!(text, "these are the tables of {platform}\n");
    }
    for entity in &proposal.entities {
        show_entity(entity, &mut text);
    }
    let shop = &proposal.shop;
    for (what, guess) in [("currency", &shop.currency), ("time zone", &shop.time_zone), ("country", &shop.country)] {
        let value = if guess.value.is_empty() { "none" } else { &guess.value };
        let change = if guess.is_default { format!("; change it with --{}", what.replace(' ', "-")) } else { String::new() };
        let _ = writeln!(text, "{what}: {value} ({}{change})", guess.reason);
    }
    text
}

fn show_entity(entity: &EntityProposal, text: &mut String) {
    let _ = writeln!(text, "{}: `{}`, {:.0} % sure", entity.entity, entity.table, entity.score * 100.0);
    for reason in &entity.reasons {
        let _ = writeln!(text, "  - {reason}");
    }
    for column in entity.columns.iter().filter(|column| column.reason.is_some()) {
        let _ = writeln!(text, "  - {}: {}", column.column, column.reason.as_deref().unwrap_or_default());
    }
    if !entity.alternatives.is_empty() {
        let others: Vec<String> = entity.alternatives.iter().take(5).map(|other| format!("`{}`", other.table)).collect();
        let _ = writeln!(text, "  - other tables it may be: {}; choose with --table {}=TABLE", others.join(", "), entity.entity);
    }
    if let Some(sample) = &entity.sample {
        show_rows(sample, text);
    }
    text.push('\n');
}

fn show_rows(sample: &Sample, text: &mut String) {
    if sample.rows.is_empty() {
        let _ = writeln!(text, "  (the query gives no rows)");
        return;
    }
    let cell = |value: &Option<String>| {
        let value = value.as_deref().unwrap_or("-").replace(['\n', '\r', '\t'], " ");
        if value.chars().count() > MOST_LETTERS { value.chars().take(MOST_LETTERS - 3).chain("...".chars()).collect() } else { value }
    };
    let rows: Vec<Vec<String>> = sample.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
        cells.chain([sample.columns[at].chars().count()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..sample.columns.len()).map(width).collect();
    for row in std::iter::once(&sample.columns).chain(&rows) {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(text, "  {}", cells.join("  ").trim_end());
    }
}

#[cfg(test)]
mod tests {
    use sellcast_warehouse::{Alternative, Dialect, Guess, ShopGuess};

    use super::*;

    fn proposal() -> Proposal {
        let guess = |value: &str, is_default| Guess { value: value.to_owned(), reason: "nothing tells it".to_owned(), is_default };
        let entity = EntityProposal {
            entity: "transactions",
            table: "orders".to_owned(),
            score: 0.9,
            reasons: vec!["`orders` holds the sale lines".to_owned()],
            columns: Vec::new(),
            sql: String::new(),
            cursor: None,
            text_keys: Vec::new(),
            alternatives: [("invoices", 0.88), ("carts", 0.4)].map(|(table, score)| Alternative { table: table.to_owned(), score }).into(),
            sample: Some(Sample { columns: vec!["sale_id".into(), "name".into()], rows: vec![vec![Some("1".into()), None]] }),
        };
        let shop = ShopGuess { currency: guess("EUR", false), time_zone: guess("UTC", true), country: guess("", true) };
        Proposal { dialect: Dialect::Sqlite, platform: None, shop, entities: vec![entity] }
    }

    #[test]
    fn only_close_rivals_and_what_nothing_tells_are_asked() {
        let (proposal, mut answers, mut said) = (proposal(), Answers::default(), Vec::new());
        let mut talk = Talk::new("2\nEurope/Berlin\n\n".as_bytes(), &mut said);
        assert!(talk.tables(&proposal, &mut answers).expect("answers"));
        let asked = std::iter::from_fn(|| talk.shop(&proposal, &mut answers).expect("answers").then_some(())).count();
        assert_eq!(asked, 2);
        assert_eq!(answers.tables, [("transactions".to_owned(), "invoices".to_owned())]);
        let shop = &answers.shop;
        assert_eq!((shop.time_zone.as_deref(), shop.country.as_deref(), shop.currency.as_deref()), (Some("Europe/Berlin"), Some(""), None));
        let said = String::from_utf8(said).expect("text");
        assert!(said.contains("2) invoices") && !said.contains("carts") && !said.contains("currency"), "{said}");
    }

    #[test]
    fn an_answer_that_is_no_number_keeps_the_best() {
        let proposal = proposal();
        for answer in ["\n", "9\n", "what?\n", ""] {
            let mut answers = Answers::default();
            assert!(!Talk::new(answer.as_bytes(), Vec::new()).tables(&proposal, &mut answers).expect("answers"), "{answer:?}");
            assert_eq!(answers.tables, [("transactions".to_owned(), "orders".to_owned())]);
        }
    }

    #[test]
    fn the_proposal_is_told_with_reasons_and_rows() {
        let text = shown(&proposal());
        for part in [
            "transactions: `orders`, 90 % sure",
            "- `orders` holds the sale lines",
            "sale_id  name\n  1        -",
            "--time-zone",
            "country: none",
        ] {
            assert!(text.contains(part), "`{part}` is not in:\n{text}");
        }
    }
}
