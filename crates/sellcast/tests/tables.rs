//! The Delta tables as any other reader finds them: opened by their folder with the plain Delta library, asked in SQL.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use datafusion::arrow::util::display::array_value_to_string;
use datafusion::prelude::SessionContext;

/// The tables of a data folder at their newest versions.
pub(crate) struct Tables {
    context: SessionContext,
    names: Vec<String>,
}

impl Tables {
    pub(crate) async fn open(data: &Path) -> Self {
        let context = SessionContext::new();
        let mut names = Vec::new();
        for entry in fs::read_dir(data.join("warehouse")).expect("a warehouse") {
            let path = entry.expect("an entry").path();
            if !path.join("_delta_log").is_dir() {
                continue;
            }
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            let url = deltalake::ensure_table_uri(path.to_string_lossy()).expect("an address");
            let table = deltalake::open_table(url).await.unwrap_or_else(|error| panic!("`{name}`: {error}"));
            table.update_datafusion_session(&context.state()).expect("a session");
            let provider = table.table_provider().await.unwrap_or_else(|error| panic!("`{name}`: {error}"));
            context.register_table(name.as_str(), provider).expect("a new name");
            names.push(name);
        }
        Self { context, names }
    }

    /// The rows of a query, each as one text with bars between its columns.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<String> {
        let frame = self.context.sql(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let batches = frame.collect().await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let mut rows = Vec::new();
        for batch in &batches {
            for row in 0..batch.num_rows() {
                let cells = batch.columns().iter().map(|column| array_value_to_string(column, row).expect("a text"));
                rows.push(cells.collect::<Vec<_>>().join("|"));
            }
        }
        rows
    }

    /// One value.
    pub(crate) async fn value(&self, sql: &str) -> String {
        self.rows(sql).await.pop().unwrap_or_else(|| panic!("{sql}: no row"))
    }

    /// All that the ingest keeps, table by table, its rows in order; without what names a run.
    pub(crate) async fn contents(&self) -> BTreeMap<String, Vec<String>> {
        let mut contents = BTreeMap::new();
        for name in self.names.iter().filter(|name| *name != "ingest_runs") {
            let columns = if name == "quarantine" { "entity, rule, reason, row_json, resolved" } else { "*" };
            let mut rows = self.rows(&format!("select {columns} from {name}")).await;
            rows.sort();
            contents.insert(name.clone(), rows);
        }
        assert!(contents.len() >= 12, "{:?}", contents.keys());
        contents
    }
}

/// Fails at the first table that differs, with its first difference.
#[track_caller]
pub(crate) fn assert_same(left: &BTreeMap<String, Vec<String>>, right: &BTreeMap<String, Vec<String>>) {
    assert_eq!(left.keys().collect::<Vec<_>>(), right.keys().collect::<Vec<_>>());
    for (table, rows) in left {
        let other = &right[table];
        let differs = rows.iter().zip(other).find(|(left, right)| left != right);
        assert!(differs.is_none() && rows.len() == other.len(), "`{table}`: {} and {} rows, {differs:?}", rows.len(), other.len());
    }
}
