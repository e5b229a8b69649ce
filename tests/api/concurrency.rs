//! What happens when people do things at the same moment. Each of these must end as if one had been
//! faster, never with an error of ours.

use futures_util::future::join_all;
use khabar::actions::create_article::{self, create_article};
use khabar::actions::delete_category::{self, delete_category};
use khabar::actions::move_category::{self, move_category};
use khabar::domain::failure::{Failure, Rejection};
use khabar::domain::viewer::Viewer;
use uuid::Uuid;

use crate::support::{Newsroom, TestApp};

/// The codes of what an action rejected; anything else of its failures fails the test.
fn codes<C>(failure: Failure<C>) -> Vec<C> {
    match failure {
        Failure::Rejected(faults) => {
            faults.into_iter().map(|Rejection { code, .. }| code).collect()
        }
        other => panic!("{other:?}", other = anyhow::anyhow!("{other}")),
    }
}

async fn create(newsroom: &Newsroom, input: create_article::Input) -> Vec<create_article::Code> {
    let created = create_article(&newsroom.test.app, &Viewer::System, input).await;
    created.map_or_else(codes, |_| Vec::new())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_with_one_headline_each_get_a_slug() {
    let newsroom = TestApp::with_newsroom().await;
    let writers = (0..8).map(|_| newsroom.draft("عاجل"));
    let mut slugs: Vec<String> = join_all(writers).await.into_iter().map(|one| one.slug).collect();
    slugs.sort();
    slugs.dedup();
    assert_eq!(slugs.len(), 8, "{slugs:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_tags_and_authors_in_opposite_orders_wait_for_each_other_one_way() {
    let newsroom = TestApp::with_newsroom().await;
    for round in 0..10 {
        let names: Vec<String> = (0..6).map(|number| format!("اسم {round} {number}")).collect();
        let backwards: Vec<String> = names.iter().rev().cloned().collect();
        let writers = (0..6).map(|number| {
            let names = if number % 2 == 0 { &names } else { &backwards };
            let story = newsroom.story(&format!("خبر {round} {number}"));
            create(
                &newsroom,
                create_article::Input { tags: names.clone(), authors: names.clone(), ..story },
            )
        });
        assert!(join_all(writers).await.iter().all(Vec::is_empty));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_category_goes_before_a_story_comes_or_stays_for_it() {
    let newsroom = TestApp::with_newsroom().await;
    for round in 0..10 {
        let name = format!("عابر {round}");
        let category = newsroom.test.category(None, &name, &format!("Passing {round}")).await;
        let story = newsroom.story(&format!("خبر {round}"));
        let story = create_article::Input { category: category.id, ..story };
        let delete = delete_category(&newsroom.test.app, &Viewer::System, category.id, None);
        let (created, deleted) = tokio::join!(create(&newsroom, story), delete);
        match deleted {
            Ok(_) => assert_eq!(created, [create_article::Code::CategoryNotFound]),
            Err(failure) => {
                assert_eq!(codes(failure), [delete_category::Code::InUse]);
                assert_eq!(created, []);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_moves_never_tie_the_tree_into_a_knot() {
    let newsroom = TestApp::with_newsroom().await;
    let app = &newsroom.test.app;
    for round in 0..10 {
        let a = newsroom.test.category(None, &format!("أ {round}"), &format!("A {round}")).await;
        let b = newsroom.test.category(None, &format!("ب {round}"), &format!("B {round}")).await;
        let under = |child: Uuid, parent: Uuid| async move {
            let input = move_category::Input { parent: Some(parent), position: None };
            let moved = move_category(app, &Viewer::System, child, input).await;
            moved.map_or_else(codes, |_| Vec::new())
        };
        let mut outcomes = <[_; 2]>::from(tokio::join!(under(a.id, b.id), under(b.id, a.id)));
        outcomes.sort_by_key(Vec::len);
        assert_eq!(outcomes, [vec![], vec![move_category::Code::Cycle]]);
    }
}
