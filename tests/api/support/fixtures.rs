//! What tests begin with: editions, categories, articles. Written through the actions.

use khabar::actions::create_article::{self, create_article};
use khabar::actions::create_category::{self, NameInput, create_category};
use khabar::actions::create_comment::{self, create_comment};
use khabar::actions::create_edition::{self, create_edition};
use khabar::actions::publish_article::{self, publish_article};
use khabar::domain::article::Article;
use khabar::domain::article_input::ArticleInput;
use khabar::domain::body::Body;
use khabar::domain::category::Category;
use khabar::domain::comment::Comment;
use khabar::domain::edition::{Direction, Edition, Place};
use khabar::domain::viewer::Viewer;
use khabar::graphql::ids::{self, Kind};
use uuid::Uuid;

use super::TestApp;

impl TestApp {
    /// An Arabic and an English edition, and the tree العالم > العراق.
    pub async fn with_newsroom() -> Newsroom {
        Self::start().await.found().await
    }

    /// Fills an empty newsroom.
    pub async fn found(self) -> Newsroom {
        let arabic = self.edition("ar-IQ", "خبر", Direction::Rtl).await;
        self.edition("en", "Khabar", Direction::Ltr).await;
        let world = self.category(None, "العالم", "World").await;
        let iraq = self.category(Some(world.id), "العراق", "Iraq").await;
        Newsroom { arabic, world, iraq, test: self }
    }

    pub async fn edition(&self, locale: &str, name: &str, direction: Direction) -> Edition {
        let input = create_edition::Input {
            locale: locale.to_owned(),
            name: name.to_owned(),
            direction,
            time_zone: "Asia/Baghdad".to_owned(),
            place: Some(Place { name: "Erbil".to_owned(), latitude: 36.19, longitude: 44.01 }),
            alerts_per_day: None,
        };
        create_edition(&self.app, &Viewer::System, input).await.unwrap()
    }

    pub async fn category(&self, parent: Option<Uuid>, arabic: &str, english: &str) -> Category {
        let name = |locale: &str, name: &str| NameInput {
            locale: locale.to_owned(),
            name: name.to_owned(),
            slug: None,
        };
        let names = vec![name("ar-IQ", arabic), name("en", english)];
        let input = create_category::Input { parent, names, position: None };
        create_category(&self.app, &Viewer::System, input).await.unwrap()
    }
}

/// A newsroom with something in it.
pub struct Newsroom {
    pub test: TestApp,
    pub arabic: Edition,
    pub world: Category,
    pub iraq: Category,
}

impl Newsroom {
    /// What `create_article` takes for an Arabic story in العراق.
    pub fn story(&self, headline: &str) -> create_article::Input {
        create_article::Input {
            locale: self.arabic.locale.clone(),
            category: self.iraq.id,
            text: ArticleInput {
                headline: headline.to_owned(),
                body: Body::from_plain_text("الفقرة الأولى.\n\nالفقرة الثانية."),
                ..ArticleInput::default()
            },
            slug: None,
            authors: vec!["سارة كريم".to_owned()],
            tags: vec!["تجربة".to_owned()],
            breaking: false,
            translation_of: None,
        }
    }

    pub async fn draft(&self, headline: &str) -> Article {
        create_article(&self.test.app, &Viewer::System, self.story(headline)).await.unwrap()
    }

    pub async fn publish(&self, id: Uuid) -> Article {
        publish_article(&self.test.app, &Viewer::System, id, publish_article::Input::default())
            .await
            .unwrap()
            .article
    }

    pub async fn published(&self, headline: &str) -> Article {
        let draft = self.draft(headline).await;
        self.publish(draft.id).await
    }

    pub async fn comment(&self, article: Uuid, parent: Option<Uuid>, body: &str) -> Comment {
        let input = create_comment::Input {
            article,
            parent,
            author_name: "قارئ".to_owned(),
            body: body.to_owned(),
        };
        create_comment(&self.test.app, input).await.unwrap().comment
    }
}

/// The global id of an article.
pub fn article_id(id: Uuid) -> String {
    ids::encode(Kind::Article, id).to_string()
}

/// The global id of a category.
pub fn category_id(id: Uuid) -> String {
    ids::encode(Kind::Category, id).to_string()
}

/// The global id of a comment.
pub fn comment_id(id: Uuid) -> String {
    ids::encode(Kind::Comment, id).to_string()
}
