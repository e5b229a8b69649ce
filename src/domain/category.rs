//! Categories: the tree of topics that readers browse and subscribe to.

use uuid::Uuid;

/// Characters a category's name may have.
pub const MAX_NAME: usize = 80;
/// Names that can be set at once: more than a site has editions.
pub const MAX_NAMES: usize = 100;
/// How deep the tree may grow, roots counted.
pub const MAX_DEPTH: usize = 8;

/// A node of the tree. Its name and slug differ by edition, see [`CategoryName`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Category {
    /// Its id.
    pub id: Uuid,
    /// The node above; `None` at a root.
    pub parent_id: Option<Uuid>,
    /// Its place among its siblings, smallest first.
    pub position: i32,
}

/// What a category is called in one edition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CategoryName {
    /// Which category.
    pub category_id: Uuid,
    /// In which edition.
    pub edition_id: Uuid,
    /// Shown to readers.
    pub name: String,
    /// Unique in the edition.
    pub slug: String,
}
