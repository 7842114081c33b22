//! Databases that refuse: each refusal is told with its mend, without the password, and nothing is written.

use anyhow::Result;

use crate::databases::{Kind, Till};

const SERVERS: [Kind; 3] = [Kind::Postgres, Kind::MariaDb, Kind::MySql];

/// What `check` says of the shop under another address.
async fn told(till: &mut Till, from: &str, to: &str) -> String {
    let address = till.mapping.url.clone().expect("an address");
    till.mapping.url = Some(address.replacen(from, to, 1));
    let told = till.check().await;
    till.mapping.url = Some(address);
    told
}

#[tokio::test]
async fn each_refusal_is_told_with_its_mend_and_without_the_password() -> Result<()> {
    for kind in SERVERS {
        let mut till = Till::open(kind).await?;
        let name = till.name().to_owned();
        for (from, to, words) in [
            ("only%20reading", "s%65cret%40", "refuses the user or the password; mend them in the `url`"),
            ("reader_", "nobody_", "refuses the user or the password"),
            ("127.0.0.1:", "127.0.0.1:9", "is not valid; write `scheme://user:password@host:port/database`"),
        ] {
            let told = told(&mut till, from, to).await;
            assert!(told.contains(words), "{from} -> {to}: {told}");
            assert!(!told.contains("cret") && !told.contains("only%20") && !told.contains("only reading"), "{told}");
            assert_eq!(told.lines().count(), 1, "told once, not for each entity: {told}");
        }
        till.mapping.url = Some(till.address.replace(&name, "no_such_shop"));
        let told = till.check().await;
        assert!(told.contains("the server has no database `") && told.contains("check the name at the end of the `url`"), "{told}");
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_apart() -> Result<()> {
    let mut till = Till::bare(Kind::Sqlite).await?;
    let port = sellcast_testkit::free_port()?;
    for scheme in ["postgres", "mysql"] {
        till.mapping.url = Some(format!("{scheme}://ada:secret@127.0.0.1:{port}/shop"));
        let told = till.check().await;
        assert!(told.contains(&format!("`{scheme}://127.0.0.1:{port}/shop` does not answer or broke off; check host and port")), "{told}");
        assert!(!told.contains("secret"), "{told}");
    }
    Ok(())
}

#[tokio::test]
async fn a_missing_table_and_a_missing_right_are_told_by_entity() -> Result<()> {
    for kind in SERVERS {
        let mut till = Till::open(kind).await?;
        let name = till.name().to_owned();
        match kind {
            Kind::MariaDb | Kind::MySql => {
                till.run(&format!("revoke select on {name}.* from reader_{name}")).await?;
                till.run(&format!("grant select on {name}.categories to reader_{name}")).await?;
                till.run(&format!("grant select on {name}.customers to reader_{name}")).await?;
                till.run(&format!("grant select on {name}.products to reader_{name}")).await?;
            }
            _ => till.run(&format!("revoke select on sales from reader_{name}")).await?,
        }
        till.run("drop table customers").await?;
        let told = till.check().await;
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(lines.len(), 2, "{told}");
        assert!(
            lines[0].starts_with("customers: ") && lines[0].contains("refuses the query; mend its `sql`") && lines[0].contains("customers"),
            "{told}"
        );
        assert!(lines[1].starts_with("transactions: ") && lines[1].contains("grant it `select` on those tables"), "{told}");
    }
    Ok(())
}

#[tokio::test]
async fn a_reader_cannot_write_whatever_its_query_says() -> Result<()> {
    let mut till = Till::open(Kind::Postgres).await?;
    till.run("create function spoil() returns bigint language sql as 'delete from sales returning 1::bigint'").await?;
    till.mapping.url = Some(till.address.clone());
    till.mapping.customers = Some(crate::shop::entity("select spoil() as customer_id"));
    let error = till.ingest("2017-12-01T06:00:00Z").await.expect_err("refused");
    assert!(crate::shop::told(&error).contains("read-only transaction"), "{}", crate::shop::told(&error));
    till.mapping.customers = None;
    assert_eq!(till.ingest("2017-12-01T07:00:00Z").await?.entities["transactions"].loaded, 2);
    Ok(())
}

#[tokio::test]
async fn connections_are_encrypted_as_the_address_asks() -> Result<()> {
    let mut till = Till::open(Kind::Postgres).await?;
    let name = till.name().to_owned();
    let certificate = sellcast_testkit::Postgres::shared()?.service().folder().join("server.crt");
    let plain = till.mapping.url.clone().expect("an address");
    till.mapping.customers = Some(crate::shop::entity(
        "select 1 as customer_id, (select ssl::text from pg_stat_ssl where pid = pg_backend_pid()) as customer_segment",
    ));
    for (options, encrypted) in [
        ("sslmode=disable".to_owned(), "false"),
        ("sslmode=require".to_owned(), "true"),
        (format!("sslmode=verify-full&sslrootcert={}", certificate.display()), "true"),
    ] {
        till.mapping.url = Some(format!("{plain}?{options}"));
        till.ingest("2017-12-01T06:00:00Z").await?;
        assert_eq!(till.rows("select customer_segment from dim_customer").await?, [encrypted], "{options}");
    }
    till.mapping.url = Some(format!("{plain}?sslmode=verify-full"));
    let told = till.check().await;
    assert!(
        told.contains(&name)
            && told.contains("no encrypted connection to the database server")
            && told.to_lowercase().contains("certificate"),
        "{told}"
    );
    Ok(())
}

/// The MySQL of the tests has only ciphers that are not spoken here.
#[tokio::test]
async fn a_server_without_a_common_cipher_is_told_with_the_way_to_read_it() -> Result<()> {
    let mut till = Till::open(Kind::MySql).await?;
    let plain = till.mapping.url.clone().expect("an address");
    for mode in ["PREFERRED", "REQUIRED"] {
        till.mapping.url = Some(plain.replace("DISABLED", mode));
        let told = till.check().await;
        assert!(told.contains("no encrypted connection to the database server") && told.contains("ssl-mode=DISABLED"), "{mode}: {told}");
        assert_eq!(told.lines().count(), 1, "told once, not for each entity: {told}");
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_dies_under_a_run_is_told_and_the_next_run_is_whole() -> Result<()> {
    struct Killer(std::sync::Mutex<Option<sellcast_testkit::Postgres>>);
    impl sellcast_warehouse::Progress for Killer {
        fn step(&self, what: &str) {
            if what == "transactions" {
                self.0.lock().expect("no panic").as_ref().expect("a server").service().stop().expect("it stops");
            }
        }
        fn rows(&self, _done: u64) {}
    }
    let server = sellcast_testkit::Postgres::start()?;
    let mut till = Till::on(Kind::Postgres, server.database().await?).await?;
    till.fill().await?;
    let killer = Killer(std::sync::Mutex::new(Some(server)));
    let error = till.ingest_watched("2017-12-01T06:00:00Z", &killer).await.expect_err("it was killed");
    let told = crate::shop::told(&error);
    assert!(told.contains("cannot read `transactions` from the source") && told.contains("does not answer or broke off"), "{told}");
    killer.0.lock().expect("no panic").as_ref().expect("a server").service().restart()?;
    let record = till.ingest("2017-12-01T07:00:00Z").await?;
    assert_eq!(record.entities["transactions"].loaded, 2);
    Ok(())
}
