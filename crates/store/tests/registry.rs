//! The model registry: one champion and one challenger a frame, and a history that says why. The same tests on SQLite and on
//! PostgreSQL.

use anyhow::Result;
use sellcast_domain::{Duel, ModelEvent, ModelEventKind, TimeFrame};
use sellcast_store::{RegisteredModel, Registry, RegistryError};
use sellcast_testkit::{Postgres, free_port};

/// Where a registry under test lies: a file in a folder that is removed with it, or a database of its own on a real server.
enum Place {
    File(tempfile::TempDir),
    Database(String),
}

impl Place {
    async fn open(&self) -> Result<Registry> {
        Ok(match self {
            Self::File(folder) => Registry::open(&folder.path().join("sellcast.db")).await?,
            Self::Database(address) => Registry::connect(&address.parse()?).await?,
        })
    }
}

macro_rules! on_every_backend {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            use super::Place;
            $(#[tokio::test]
            async fn $name() -> super::Result<()> {
                super::$name(Place::File(tempfile::tempdir()?)).await
            })+
        }
        mod on_postgres {
            use super::{Place, Postgres};
            $(#[tokio::test]
            async fn $name() -> super::Result<()> {
                super::$name(Place::Database(Postgres::shared()?.database().await?)).await
            })+
        }
    };
}

on_every_backend!(
    a_frame_has_one_champion_and_one_challenger,
    rolling_back_twice_goes_back_two_champions,
    a_version_is_undecided_until_an_event_says_what_becomes_of_it,
    what_was_registered_is_read_back_whole_and_after_a_restart,
    a_version_that_is_added_again_is_replaced,
    processes_that_begin_at_once_share_one_registry,
);

fn event(version: &str, event: ModelEventKind) -> ModelEvent {
    ModelEvent {
        at: "2017-12-11T05:00:00Z".parse().expect("an instant"),
        frame: TimeFrame::Week,
        version: version.to_owned(),
        event,
        reason: "it won".to_owned(),
        duel: None,
    }
}

/// The first was trained on the first of December, the second on the second.
async fn register(registry: &Registry, versions: &[&str]) -> Result<Vec<RegisteredModel>> {
    let mut models = Vec::new();
    for (day, version) in (1..).zip(versions) {
        let model = RegisteredModel {
            version: (*version).to_owned(),
            frame: TimeFrame::Week,
            trained_at: format!("2017-12-{day:02}T05:00:00Z").parse()?,
            facts: serde_json::json!({"rows": 3, "words": "it's \"ß\" \\ ?1 $1"}),
            metrics: serde_json::json!({"published": {"wape": 0.1 + 0.2}}),
            is_champion: false,
            is_challenger: false,
        };
        registry.add(&model).await?;
        models.push(model);
    }
    Ok(models)
}

async fn a_frame_has_one_champion_and_one_challenger(place: Place) -> Result<()> {
    let registry = place.open().await?;
    register(&registry, &["a", "b", "c"]).await?;
    registry.promote(&event("a", ModelEventKind::Promoted)).await?;
    registry.challenge(&event("b", ModelEventKind::Challenged)).await?;
    registry.challenge(&event("c", ModelEventKind::Challenged)).await?;
    let marks = |models: Vec<RegisteredModel>| -> Vec<(String, bool, bool)> {
        models.into_iter().map(|m| (m.version, m.is_champion, m.is_challenger)).collect()
    };
    let expected = |list: [(&str, bool, bool); 3]| list.map(|(version, a, b)| (version.to_owned(), a, b)).to_vec();
    assert_eq!(marks(registry.models().await?), expected([("c", false, true), ("b", false, false), ("a", true, false)]));
    registry.promote(&event("c", ModelEventKind::Promoted)).await?;
    assert_eq!(marks(registry.models().await?), expected([("c", true, false), ("b", false, false), ("a", false, false)]));
    let record = registry.record(10).await?;
    assert_eq!(record.champions[&TimeFrame::Week], "c");
    assert!(record.challengers.is_empty());
    assert_eq!((record.events.len(), record.events[0].event), (4, ModelEventKind::Promoted));
    Ok(())
}

async fn rolling_back_twice_goes_back_two_champions(place: Place) -> Result<()> {
    let registry = place.open().await?;
    register(&registry, &["a", "b", "c"]).await?;
    for version in ["a", "b", "c"] {
        registry.promote(&event(version, ModelEventKind::Promoted)).await?;
    }
    assert_eq!(registry.champions(TimeFrame::Week).await?, ["c", "b", "a"]);
    registry.promote(&event("b", ModelEventKind::RolledBack)).await?;
    assert_eq!(registry.champions(TimeFrame::Week).await?, ["b", "a"]);
    registry.note(&event("a", ModelEventKind::Refused)).await?;
    assert_eq!(registry.champions(TimeFrame::Week).await?, ["b"]);
    Ok(())
}

async fn a_version_is_undecided_until_an_event_says_what_becomes_of_it(place: Place) -> Result<()> {
    let registry = place.open().await?;
    let models = register(&registry, &["a", "b"]).await?;
    assert_eq!(registry.undecided(TimeFrame::Week).await?.as_ref(), models.get(1));
    assert_eq!(registry.undecided(TimeFrame::Day).await?, None);
    registry.note(&event("b", ModelEventKind::Failed)).await?;
    assert_eq!(registry.undecided(TimeFrame::Week).await?.as_ref(), models.get(1), "that a training failed decides nothing");
    registry.challenge(&event("b", ModelEventKind::Challenged)).await?;
    assert_eq!(registry.undecided(TimeFrame::Week).await?.as_ref(), models.first());
    registry.note(&event("a", ModelEventKind::Refused)).await?;
    assert_eq!(registry.undecided(TimeFrame::Week).await?, None);
    Ok(())
}

async fn what_was_registered_is_read_back_whole_and_after_a_restart(place: Place) -> Result<()> {
    let registry = place.open().await?;
    let models = register(&registry, &["week/2017-12-04", "week/2017-12-04.2"]).await?;
    let duel = Duel { challenger_loss: 1.0 / 3.0, pairs: 7, periods: vec!["2017-11-27".parse()?], ..Duel::default() };
    let kept = ModelEvent { duel: Some(duel), ..event("week/2017-12-04", ModelEventKind::Kept) };
    registry.note(&kept).await?;
    registry.note(&event("week/2017-12-04.2", ModelEventKind::Failed)).await?;
    drop(registry);
    let again = place.open().await?;
    assert_eq!(again.models().await?, models.into_iter().rev().collect::<Vec<_>>());
    assert_eq!(again.events(10).await?, [event("week/2017-12-04.2", ModelEventKind::Failed), kept]);
    assert_eq!(again.events(1).await?.len(), 1);
    Ok(())
}

async fn a_version_that_is_added_again_is_replaced(place: Place) -> Result<()> {
    let registry = place.open().await?;
    let mut model = register(&registry, &["a"]).await?.remove(0);
    registry.check_rights().await?;
    model.facts = serde_json::json!({"rows": 4});
    registry.add(&model).await?;
    assert_eq!(registry.models().await?, [model]);
    Ok(())
}

async fn processes_that_begin_at_once_share_one_registry(place: Place) -> Result<()> {
    let opened = futures::future::try_join_all((0..12).map(|_| place.open())).await?;
    let [one, other, third, ..] = &opened[..] else { anyhow::bail!("twelve were opened") };
    register(one, &["a"]).await?;
    other.promote(&event("a", ModelEventKind::Promoted)).await?;
    assert_eq!(third.champions(TimeFrame::Week).await?, ["a"]);
    assert_eq!(one.is_shared(), matches!(place, Place::Database(_)));
    Ok(())
}

#[tokio::test]
async fn a_registry_goes_on_when_its_server_was_restarted() -> Result<()> {
    let server = Postgres::start()?;
    let registry = Registry::connect(&server.database().await?.parse()?).await?;
    register(&registry, &["a"]).await?;
    server.service().stop()?;
    server.service().restart()?;
    assert_eq!(registry.models().await?.len(), 1);
    registry.promote(&event("a", ModelEventKind::Promoted)).await?;
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_its_password() -> Result<()> {
    let port = free_port()?;
    let error = Registry::connect(&format!("postgres://me:secret@127.0.0.1:{port}/shop").parse()?).await.expect_err("nobody listens");
    let told = format!("{error} {error:?}");
    assert!(matches!(error, RegistryError::Open { .. }), "{told}");
    assert!(told.contains(&format!("`postgres://127.0.0.1:{port}/shop`")) && !told.contains("secret"), "{told}");
    assert!(told.contains("refused"), "the cause is told: {told}");
    Ok(())
}
