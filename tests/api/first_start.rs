//! The first start: what instances that start at once agree on.

use khabar::actions::agree_on_keys::{adopt_keys, agree_on_keys, keep_up_with_keys};
use khabar::actions::create_user::{self, Code, FirstAdmin, create_first_admin, create_user};
use khabar::app::App;
use khabar::domain::failure::Failure;
use khabar::domain::sealing::SealingKey;
use khabar::domain::viewer::Role;
use khabar::storage::{self, Vault};

use crate::support::TestApp;

#[tokio::test]
async fn of_instances_that_start_at_once_one_adds_the_administrator() {
    let test = TestApp::start().await;
    let mut starting = Vec::new();
    for _ in 0..4 {
        let other = test.another_instance().await;
        starting.push(tokio::spawn(async move { create_first_admin(&other.app).await.unwrap() }));
    }
    let mut added = 0;
    for instance in starting {
        added += usize::from(instance.await.unwrap() != FirstAdmin::NotNeeded);
    }
    assert_eq!(added, 1);
}

#[tokio::test]
async fn of_two_who_add_one_address_at_once_the_second_is_told() {
    let test = TestApp::start().await;
    let mut adding = Vec::new();
    for _ in 0..4 {
        let other = test.another_instance().await;
        adding.push(tokio::spawn(async move {
            let input = create_user::Input {
                email: "sara@news.example".to_owned(),
                name: "Sara".to_owned(),
                roles: vec![Role::Editor],
                password: "a long password".to_owned(),
            };
            create_user(&other.app, input).await
        }));
    }
    let mut added = 0;
    for person in adding {
        match person.await.unwrap() {
            Ok(_) => added += 1,
            Err(Failure::Rejected(faults)) => assert_eq!(faults[0].code, Code::EmailTaken),
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(added, 1);
}

#[tokio::test]
async fn those_who_wait_for_their_turn_leave_connections_to_whoever_has_it() {
    let test = TestApp::start().await;
    let app = &test.app;
    let work = || app.alone(storage::setting::get(app.db.connection(), "anything"));
    for turn in futures_util::future::join_all((0..50).map(|_| work())).await {
        assert_eq!(turn.unwrap(), None);
    }
}

#[tokio::test]
async fn a_machine_with_another_master_key_does_not_take_part() {
    let test = TestApp::start().await;
    let first = test.app.clone();
    let master = SealingKey::new(&[8; 32]).unwrap();
    let other = App { vault: Vault::new(master, first.clock.clone()), ..first.clone() };
    agree_on_keys(&first).await.unwrap();
    let refused = agree_on_keys(&other).await.unwrap_err().into_words().to_string();
    assert!(refused.contains("master.key") && refused.contains("copy it from"), "{refused}");
    assert!(!adopt_keys(&first).await.unwrap(), "it is the newsroom's already");
    assert!(adopt_keys(&other).await.unwrap());
    agree_on_keys(&other).await.unwrap();
    assert!(agree_on_keys(&first).await.is_err());
    let lacks = keep_up_with_keys(&first).await.unwrap();
    assert!(!lacks.newest && !lacks.master && keep_up_with_keys(&other).await.unwrap().newest);
    std::fs::write(first.config.data_dir.join("master.key"), "half of it").unwrap();
    let damaged = keep_up_with_keys(&first).await.unwrap_err().to_string();
    assert!(damaged.contains("master.key is damaged"), "{damaged}");
}
