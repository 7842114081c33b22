//! The disk under the embedded pipeline's state fills up, really: each test runs once more in a process of its own, whose folder is a
//! disk of a few megabytes.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sellcast_domain::window::{WatermarkSettings, WindowBoard, WindowSpan, differing_tiles};
use sellcast_stream::{Change, Decoder, Pipeline, Poison, ProductColumns, SaleColumns, StateError};
use sellcast_testkit::TestDir;

use crate::shop::{Sale, Tables};

const SETTINGS: WatermarkSettings = WatermarkSettings { lateness_seconds: 600, idle_seconds: 60 };
/// Names the small disk to the process that has it.
const DISK: &str = "SELLCAST_SMALL_DISK";
/// Sales of a round, seconds between them, and rounds that must be enough to fill what a state file has to spare.
const ROUND: i64 = 1_000;
const PACE: i64 = 3;
const ROUNDS: i64 = 60;

/// Runs `test` in a process of its own, with a folder that is a disk of 8 MB. It is gone with that process.
fn on_a_small_disk(name: &str, test: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if let Some(disk) = std::env::var_os(DISK) {
        return test(Path::new(&disk));
    }
    let dir = TestDir::new("small-disk")?;
    // Without root a user namespace gives the right to mount.
    let script = r#"[ "$(id -u)" = 0 ] || user=--map-root-user
        exec unshare ${user:-} --mount sh -c 'mount -t tmpfs -o size=8m sellcast "$SELLCAST_SMALL_DISK" && exec "$0" --exact "$1"' "$0" "$1""#;
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe()?)
        .arg(name)
        .env(DISK, dir.path())
        .output()
        .context("cannot run `sh`")?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(
        output.status.success() && said.contains("1 passed"),
        "on a small disk (`unshare` and `mount` of util-linux make it, as root or where users may have namespaces): {said}"
    );
    Ok(())
}

/// Takes all the room there is; gives it back when dropped.
struct Ballast(PathBuf);

impl Ballast {
    fn fill(disk: &Path) -> Result<Self> {
        let ballast = Self(disk.join("ballast"));
        let mut file = File::create(&ballast.0)?;
        for _ in 0..1_000_000 {
            match file.write_all(&[7; 4096]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(ballast),
                Err(error) => return Err(error.into()),
            }
        }
        anyhow::bail!("the disk does not fill up")
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).expect("the ballast");
    }
}

/// A shop that sells in rounds.
struct Shop {
    sales: Decoder,
    products: Decoder,
    tables: Tables,
    round: i64,
    position: i64,
    /// The ids of sales that came too late.
    late: Vec<i64>,
}

impl Shop {
    fn new() -> Self {
        let (sales, products) = (Decoder::sales(&SaleColumns::default()), Decoder::products(&ProductColumns::default()));
        Self { sales, products, tables: Tables::default(), round: 0, position: 0, late: Vec::new() }
    }

    /// Sales with changes, deletions and moves among them, then one that comes too late and an event that means nothing.
    fn sell(&mut self, pipeline: &mut Pipeline) {
        for n in self.round * ROUND..(self.round + 1) * ROUND {
            let sale = Sale { product: n % 13, customer: n % 57, quantity: 1 + n % 5, cents: n * 7 % 1_000 - 50, seconds: n * PACE };
            let event = self.tables.write(n, sale);
            self.tell(pipeline, &event);
            let event = match n % 11 {
                3 if n > 20 => self.tables.delete(n - 2),
                5 if n > 20 => self.tables.write(n - 3, Sale { cents: 999, ..self.tables.sales[&(n - 3)] }),
                _ => continue,
            };
            self.tell(pipeline, &event);
        }
        let event = self.tables.place(self.round % 13, self.round % 4);
        let decoded = self.products.decode(&event);
        self.read(pipeline, decoded, &event);
        if self.round > 0 {
            let (id, seconds) = (1_000_000 + self.round, self.round * ROUND * PACE - 700);
            let event = self.tables.clone().write(id, Sale { product: 1, customer: 1, quantity: 1, cents: 1, seconds });
            self.tell(pipeline, &event);
            self.late.push(id);
        }
        self.tell(pipeline, b"{");
        self.round += 1;
    }

    fn tell(&mut self, pipeline: &mut Pipeline, event: &[u8]) {
        let decoded = self.sales.decode(event);
        self.read(pipeline, decoded, event);
    }

    fn read(&mut self, pipeline: &mut Pipeline, decoded: Result<Change, Poison>, event: &[u8]) {
        pipeline.read("changes", self.position, decoded, || event.to_vec());
        self.position += 1;
    }

    /// Sells and saves until the disk is full; gives the state of the shop at the last save that was made.
    fn sell_until_full(&mut self, pipeline: &mut Pipeline) -> Result<(Tables, i64, StateError)> {
        for _ in 0..ROUNDS {
            let (tables, position) = (self.tables.clone(), self.position);
            self.sell(pipeline);
            if let Err(error) = pipeline.save() {
                return Ok((tables, position, error));
            }
        }
        anyhow::bail!("the disk never was full")
    }

    fn check(&self, pipeline: &Pipeline) {
        assert_same(pipeline.book().board(), &self.tables.batch(self.tables.head()));
        assert_eq!(pipeline.position("changes"), self.position);
        assert_eq!(pipeline.counts("changes").poison, self.round as u64);
    }

    /// What is listed was lost nowhere and is there once.
    fn check_lists(&self, pipeline: &Pipeline) -> Result<()> {
        let mut dead: Vec<_> = pipeline.state().dead_letters()?.into_iter().map(|(_, letter)| letter.position).collect();
        assert_eq!((dead.len() as i64, dead.last().copied()), (self.round, Some(self.position - 1)));
        dead.dedup();
        assert_eq!(dead.len() as i64, self.round);
        assert_eq!(pipeline.state().late_sales()?.iter().map(|late| late.sale.get()).collect::<Vec<_>>(), self.late);
        Ok(())
    }
}

/// Fails unless every tile and the sums of every window are the same. Customers are estimated, and where products move after their
/// customers have become a sample the estimates may differ.
fn assert_same(stream: &WindowBoard, batch: &WindowBoard) {
    assert_eq!(differing_tiles(stream, batch), []);
    for key in batch.keys() {
        for span in WindowSpan::ALL {
            let [stream, batch] = [stream, batch].map(|board| board.window(key, span));
            assert_eq!(
                (stream.amount_cents, stream.quantity_thousandths, stream.transactions),
                (batch.amount_cents, batch.quantity_thousandths, batch.transactions),
                "{key:?} {span}"
            );
        }
    }
}

fn assert_full(error: &StateError, state: &Path) {
    assert!(matches!(error, StateError::Full { .. }), "{error:?}");
    let said = error.to_string();
    assert!(said.contains(state.to_str().expect("text")) && said.contains("free some space"), "{said}");
}

#[test]
fn a_full_disk_loses_and_doubles_nothing_and_the_windows_go_on() -> Result<()> {
    on_a_small_disk("full_disk::a_full_disk_loses_and_doubles_nothing_and_the_windows_go_on", |disk| {
        let state = disk.join("state.redb");
        let (mut shop, elsewhere) = (Shop::new(), TestDir::new("copies")?);
        let mut pipeline = Pipeline::open(&state, SETTINGS)?;
        shop.sell(&mut pipeline);
        pipeline.save()?;
        for time in 0..2 {
            let ballast = Ballast::fill(disk)?;
            let (saved, position, error) = shop.sell_until_full(&mut pipeline)?;
            assert_full(&error, &state);
            shop.check(&pipeline);

            // The file is what it was at the last save, whole.
            let copy = elsewhere.join(format!("{time}.redb"));
            std::fs::copy(&state, &copy)?;
            let reopened = Pipeline::open(&copy, SETTINGS)?;
            assert_same(reopened.book().board(), &saved.batch(saved.head()));
            assert_eq!(reopened.position("changes"), position);

            // It is tried again and again, while sales go on.
            for _ in 0..5 {
                shop.sell(&mut pipeline);
                assert_full(&pipeline.save().expect_err("a full disk"), &state);
                shop.check(&pipeline);
            }

            drop(ballast);
            pipeline.save()?;
            shop.check(&pipeline);
            shop.check_lists(&pipeline)?;
            let counts = pipeline.book().counts();
            drop(pipeline);
            pipeline = Pipeline::open(&state, SETTINGS)?;
            shop.check(&pipeline);
            shop.check_lists(&pipeline)?;
            assert_eq!(pipeline.book().counts(), counts);
        }
        Ok(())
    })
}

#[test]
fn what_another_process_saved_after_a_failed_write_is_not_overwritten() -> Result<()> {
    on_a_small_disk("full_disk::what_another_process_saved_after_a_failed_write_is_not_overwritten", |disk| {
        let state = disk.join("state.redb");
        let mut shop = Shop::new();
        let mut first = Pipeline::open(&state, SETTINGS)?;
        let ballast = Ballast::fill(disk)?;
        let (tables, position, error) = shop.sell_until_full(&mut first)?;
        assert_full(&error, &state);
        drop(ballast);
        let mut second = Pipeline::open(&state, SETTINGS)?;
        let mut other = Shop { tables, position, ..Shop::new() };
        other.round = shop.round - 1;
        assert!(matches!(first.save(), Err(StateError::InUse(_))));
        other.sell(&mut second);
        other.sell(&mut second);
        second.save()?;
        drop(second);
        assert!(matches!(first.save(), Err(StateError::Changed(path)) if path == state));
        drop(first);
        other.check(&Pipeline::open(&state, SETTINGS)?);
        Ok(())
    })
}
