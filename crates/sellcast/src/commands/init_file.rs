//! The `sellcast.toml` that `init` writes: every choice with its reason beside it, and no password.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context;
use sellcast_warehouse::{EntityProposal, Proposal};

/// The variable that holds the password of the URL that was given.
const PASSWORD: &str = "SELLCAST_SOURCE_PASSWORD";

/// The address of the source as the file has it.
pub(super) struct Source {
    url: String,
    /// Was a password taken out of it?
    hides_password: bool,
}

impl Source {
    /// The address without its password, a relative path as an absolute one.
    pub(super) fn new(given: &str, here: &Path) -> Self {
        if let Some(path) = given.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return Self { url: format!("sqlite:{}", here.join(path).display()), hides_password: false };
        }
        let parts = given.split_once("://").and_then(|(scheme, rest)| {
            let (credentials, place) = rest.rsplit_once('@')?;
            let (user, password) = credentials.split_once(':')?;
            Some((scheme, user, password, place))
        });
        if let Some((before, rest)) = given.split_once("password=")
            && !rest.starts_with("${")
        {
            let after = rest.find('&').map_or("", |at| &rest[at..]);
            return Self { url: format!("{before}password=${{{PASSWORD}}}{after}"), hides_password: true };
        }
        match parts {
            Some((scheme, user, password, place)) if !password.starts_with("${") && !password.is_empty() => {
                Self { url: format!("{scheme}://{user}:${{{PASSWORD}}}@{place}"), hides_password: true }
            }
            _ => Self { url: given.to_owned(), hides_password: false },
        }
    }
}

/// A configuration to be written.
pub(super) struct Written<'a> {
    pub(super) source: &'a Source,
    pub(super) name: Option<&'a str>,
    pub(super) proposal: &'a Proposal,
}

impl Written<'_> {
    /// Writes the file beside its place first, so that nothing half-written is read.
    pub(super) fn save(&self, file: &Path) -> anyhow::Result<()> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
        }
        let draft = file.with_extension("toml.new");
        fs::write(&draft, self.text()).with_context(|| format!("cannot write `{}`", draft.display()))?;
        fs::rename(&draft, file).with_context(|| format!("cannot write `{}`", file.display()))
    }

    fn text(&self) -> String {
        let shop = &self.proposal.shop;
        let platform = self.proposal.platform.map_or_else(String::new, |platform| format!(" The tables are those of {platform}."));
        let mut text = format!(
            "# Written by `sellcast init`.{platform} Each query is a proposal with its reasons: change what is wrong, then\n\
             # `sellcast check`. docs/configuration.md lists the columns of each entity, `sellcast config` all other settings.\n\n\
             [shop]\nname = {}\n",
            quoted(self.name.unwrap_or("My shop"))
        );
        for (key, guess) in [("currency", &shop.currency), ("time_zone", &shop.time_zone), ("country", &shop.country)] {
            let _ = write!(text, "# {}.\n{key} = {}\n", capital(&guess.reason), quoted(&guess.value));
        }
        let hint =
            if self.source.hides_password { format!("# The password is read from the variable {PASSWORD}.\n") } else { String::new() };
        let _ = write!(
            text,
            "\n[source]\n{hint}url = {}\n# Rows committed late are found if they are not later than this.\nlag_hours = 72\n",
            quoted(&self.source.url)
        );
        for entity in &self.proposal.entities {
            text.push('\n');
            write_entity(entity, &mut text);
        }
        text
    }

    /// What was done, and the next command.
    pub(super) fn ending(&self, dir: &Path, file: &Path) -> String {
        let mut text = format!("\nwrote {}\n\nnext:\n", file.display());
        if self.source.hides_password {
            let _ = writeln!(text, "  read -rs {PASSWORD} && export {PASSWORD}    # type the password of the URL");
        }
        let dir = shell(dir);
        let _ = write!(text, "  sellcast check --dir {dir} && sellcast run --dir {dir}");
        text
    }
}

fn write_entity(entity: &EntityProposal, text: &mut String) {
    for reason in &entity.reasons {
        let _ = writeln!(text, "# - {}", reason.replace('\n', " "));
    }
    for column in &entity.columns {
        if let Some(reason) = &column.reason {
            let _ = writeln!(text, "# - {}: {reason}", column.column);
        }
    }
    if !entity.alternatives.is_empty() {
        let others: Vec<&str> = entity.alternatives.iter().take(5).map(|other| other.table.as_str()).collect();
        let _ = writeln!(text, "# - other tables it may be: {}", others.join(", "));
    }
    let _ = writeln!(text, "[source.{}]", entity.entity);
    // A basic string would read a backslash as an escape.
    let sql = if entity.sql.contains("'''") || !entity.sql.contains('\\') {
        format!("\"\"\"\n{}\n\"\"\"", entity.sql.replace('\\', "\\\\").replace("\"\"\"", "\"\"\\\""))
    } else {
        format!("'''\n{}\n'''", entity.sql)
    };
    let _ = writeln!(text, "sql = {sql}");
    if let Some(cursor) = entity.cursor {
        let _ = writeln!(text, "cursor = {}", quoted(cursor));
    }
    if !entity.text_keys.is_empty() {
        let keys: Vec<String> = entity.text_keys.iter().map(|key| quoted(key)).collect();
        let _ = writeln!(text, "text_keys = [{}]", keys.join(", "));
    }
}

fn quoted(text: &str) -> String {
    let escaped = text.chars().fold(String::new(), |mut escaped, letter| {
        match letter {
            '"' | '\\' => escaped.extend(['\\', letter]),
            letter if letter.is_control() => {
                let _ = write!(escaped, "\\u{:04X}", u32::from(letter));
            }
            letter => escaped.push(letter),
        }
        escaped
    });
    format!("\"{escaped}\"")
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A path as a shell reads it.
fn shell(path: &Path) -> String {
    let path = path.display().to_string();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-~".contains(letter);
    if path.chars().all(is_plain) { path } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_never_reaches_the_file() {
        let source = Source::new("postgres://ada:se%40cret@db.example:5433/shop?sslmode=require", Path::new("/srv"));
        assert_eq!(source.url, "postgres://ada:${SELLCAST_SOURCE_PASSWORD}@db.example:5433/shop?sslmode=require");
        assert!(source.hides_password);
        let source = Source::new("postgres://db/shop?user=ada&password=secret&sslmode=require", Path::new("/srv"));
        assert_eq!(source.url, "postgres://db/shop?user=ada&password=${SELLCAST_SOURCE_PASSWORD}&sslmode=require");
        for kept in ["postgres://ada@db/shop", "mysql://ada:${DB_PASSWORD}@db/shop", "${SHOP_URL}"] {
            let source = Source::new(kept, Path::new("/srv"));
            assert_eq!((source.url.as_str(), source.hides_password), (kept, false));
        }
    }

    #[test]
    fn a_relative_path_is_written_as_an_absolute_one() {
        for given in ["sqlite:shop.db", "sqlite://shop.db"] {
            assert_eq!(Source::new(given, Path::new("/srv/data")).url, "sqlite:/srv/data/shop.db");
        }
        assert_eq!(Source::new("sqlite:/other/shop.db", Path::new("/srv/data")).url, "sqlite:/other/shop.db");
    }

    #[test]
    fn texts_are_quoted_for_toml_and_paths_for_the_shell() {
        let text = format!("a = {}", quoted("Tom's \"best\" \\ shop\u{7}"));
        let read: toml_check::Read =
            figment::Figment::from(<figment::providers::Toml as figment::providers::Format>::string(&text)).extract().expect("TOML");
        assert_eq!(read.a, "Tom's \"best\" \\ shop\u{7}");
        assert_eq!(shell(Path::new("./my shop")), "'./my shop'");
    }

    mod toml_check {
        #[derive(serde::Deserialize)]
        pub(super) struct Read {
            pub(super) a: String,
        }
    }
}
