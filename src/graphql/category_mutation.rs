//! The category tree to change.

use async_graphql::{Context, Error, ID, InputObject, Object, SimpleObject};

use super::category::{self, Category};
use super::context::KhabarContext;
use super::errors::{settle, user_errors};
use super::ids::{self, Kind};
use crate::actions::create_category::{self, NameInput, create_category};
use crate::actions::delete_category::{self, delete_category};
use crate::actions::move_category::{self, move_category};
use crate::actions::update_category::{self, update_category};
use crate::domain::edition::canonical_locale;

/// What a category is to be called in one edition.
#[derive(InputObject)]
pub struct CategoryNameInput {
    /// The edition's locale.
    locale: String,
    /// At most 80 characters.
    name: String,
    /// Made from the name when absent.
    slug: Option<String>,
}

impl From<CategoryNameInput> for NameInput {
    fn from(input: CategoryNameInput) -> Self {
        let locale = canonical_locale(&input.locale).unwrap_or(input.locale);
        Self { locale, name: input.name, slug: input.slug }
    }
}

/// What a new category is to be.
#[derive(InputObject)]
pub struct CategoryCreateInput {
    /// The node above; a root when absent.
    parent: Option<ID>,
    /// A name for at least one edition, at most 100.
    names: Vec<CategoryNameInput>,
    /// Its place among its siblings, smallest first; behind the last when absent.
    position: Option<i32>,
}

user_errors!(
    CategoryCreateUserError,
    CategoryCreateUserErrorCode = create_category::Code {
        /// A required field has nothing visible in it.
        Blank,
        /// More characters than the field allows.
        TooLong,
        /// Not of the form that the message asks for.
        Invalid,
        /// There is no such parent.
        ParentNotFound,
        /// There is no edition of such a locale.
        EditionNotFound,
        /// Another category of that edition has the slug.
        SlugTaken,
        /// The tree may be 8 levels deep at most.
        TooDeep,
    }
);

/// What came of `categoryCreate`.
#[derive(SimpleObject)]
pub struct CategoryCreatePayload {
    /// The new category; null when there are userErrors.
    category: Option<Category>,
    /// What is wrong with the input; empty when it was added.
    user_errors: Vec<CategoryCreateUserError>,
}

/// What is to change; what is absent stays.
#[derive(InputObject)]
pub struct CategoryUpdateInput {
    /// Names to set, each for its edition, at most 100; other editions keep theirs.
    #[graphql(default)]
    names: Vec<CategoryNameInput>,
    /// Its place among its siblings, smallest first.
    position: Option<i32>,
}

user_errors!(
    CategoryUpdateUserError,
    CategoryUpdateUserErrorCode = update_category::Code {
        /// A required field has nothing visible in it.
        Blank,
        /// More characters than the field allows.
        TooLong,
        /// Not of the form that the message asks for.
        Invalid,
        /// There is no such category.
        CategoryNotFound,
        /// There is no edition of such a locale.
        EditionNotFound,
        /// Another category of that edition has the slug.
        SlugTaken,
    }
);

/// What came of `categoryUpdate`.
#[derive(SimpleObject)]
pub struct CategoryUpdatePayload {
    /// The changed category; null when there are userErrors.
    category: Option<Category>,
    /// What is wrong with the input; empty when it was changed.
    user_errors: Vec<CategoryUpdateUserError>,
}

/// Where a category is to go.
#[derive(InputObject)]
pub struct CategoryMoveInput {
    /// The node above; null or absent makes it a root.
    parent: Option<ID>,
    /// Its place among its new siblings; behind the last when absent.
    position: Option<i32>,
}

user_errors!(
    CategoryMoveUserError,
    CategoryMoveUserErrorCode = move_category::Code {
        /// There is no such category.
        CategoryNotFound,
        /// There is no such parent.
        ParentNotFound,
        /// The parent is the category itself, or below it.
        Cycle,
        /// The tree may be 8 levels deep at most.
        TooDeep,
    }
);

/// What came of `categoryMove`.
#[derive(SimpleObject)]
pub struct CategoryMovePayload {
    /// The moved category; null when there are userErrors.
    category: Option<Category>,
    /// What is wrong with the input; empty when it was moved.
    user_errors: Vec<CategoryMoveUserError>,
}

user_errors!(
    CategoryDeleteUserError,
    CategoryDeleteUserErrorCode = delete_category::Code {
        /// There is no such category.
        CategoryNotFound,
        /// It has articles, subcategories or subscribed readers: name a replacement.
        InUse,
        /// There is no such replacement.
        ReplacementNotFound,
        /// The replacement is the category itself, or below it.
        Cycle,
        /// Its subcategories would stand deeper than 8 levels under the replacement.
        TooDeep,
    }
);

/// What came of `categoryDelete`.
#[derive(SimpleObject)]
pub struct CategoryDeletePayload {
    /// The id of what was deleted; null when there are userErrors.
    deleted_id: Option<ID>,
    /// What took its articles, subcategories, readers and slugs over; null when nothing had to.
    replacement: Option<Category>,
    /// What is wrong with the input; empty when it was deleted.
    user_errors: Vec<CategoryDeleteUserError>,
}

/// Changes the category tree.
#[derive(Default)]
pub struct CategoryMutation;

#[Object]
impl CategoryMutation {
    /// Adds a category. For admins.
    async fn category_create(
        &self,
        ctx: &Context<'_>,
        input: CategoryCreateInput,
    ) -> Result<Option<CategoryCreatePayload>, Error> {
        let input = create_category::Input {
            parent: input.parent.map(|id| ids::of(Kind::Category, &id)),
            names: input.names.into_iter().map(Into::into).collect(),
            position: input.position,
        };
        let (created, user_errors) =
            settle(create_category(ctx.app()?, ctx.viewer(), input).await)?;
        let category = match created {
            Some(created) => category::by_id(ctx, created.id).await?,
            None => None,
        };
        Ok(Some(CategoryCreatePayload { category, user_errors }))
    }

    /// Renames a category or changes its place among its siblings; an old slug leads to the new one.
    /// For admins.
    async fn category_update(
        &self,
        ctx: &Context<'_>,
        id: ID,
        input: CategoryUpdateInput,
    ) -> Result<Option<CategoryUpdatePayload>, Error> {
        let id = ids::of(Kind::Category, &id);
        let input = update_category::Input {
            names: input.names.into_iter().map(Into::into).collect(),
            position: input.position,
        };
        let (updated, user_errors) =
            settle(update_category(ctx.app()?, ctx.viewer(), id, input).await)?;
        let category = match updated {
            Some(updated) => category::by_id(ctx, updated.id).await?,
            None => None,
        };
        Ok(Some(CategoryUpdatePayload { category, user_errors }))
    }

    /// Hangs a category, with all below it, under another. For admins.
    async fn category_move(
        &self,
        ctx: &Context<'_>,
        id: ID,
        input: CategoryMoveInput,
    ) -> Result<Option<CategoryMovePayload>, Error> {
        let id = ids::of(Kind::Category, &id);
        let input = move_category::Input {
            parent: input.parent.map(|id| ids::of(Kind::Category, &id)),
            position: input.position,
        };
        let (moved, user_errors) =
            settle(move_category(ctx.app()?, ctx.viewer(), id, input).await)?;
        let category = match moved {
            Some(moved) => category::by_id(ctx, moved.id).await?,
            None => None,
        };
        Ok(Some(CategoryMovePayload { category, user_errors }))
    }

    /// Deletes a category. One with articles, subcategories or subscribed readers goes only with a
    /// replacement that takes them over; its slugs lead there. For admins.
    async fn category_delete(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(desc = "What takes its articles, subcategories, readers and slugs over.")]
        replacement: Option<ID>,
    ) -> Result<Option<CategoryDeletePayload>, Error> {
        let id = ids::of(Kind::Category, &id);
        let replacement = replacement.map(|id| ids::of(Kind::Category, &id));
        let deleted = delete_category(ctx.app()?, ctx.viewer(), id, replacement).await;
        let (deleted, user_errors) = settle(deleted)?;
        let replacement = match (deleted, replacement) {
            (Some(_), Some(replacement)) => category::by_id(ctx, replacement).await?,
            _ => None,
        };
        let deleted_id = deleted.map(|id| ids::encode(Kind::Category, id));
        Ok(Some(CategoryDeletePayload { deleted_id, replacement, user_errors }))
    }
}
