//! Who is asking, and what they may do. What is not granted here is denied.

use uuid::Uuid;

/// What a member of staff is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Manages categories and people; may do everything.
    Admin,
    /// Publishes.
    Editor,
    /// Writes.
    Reporter,
    /// Reads and rules on comments.
    Moderator,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Admin, Self::Editor, Self::Reporter, Self::Moderator];

    /// The word for it in the database and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "ADMIN",
            Self::Editor => "EDITOR",
            Self::Reporter => "REPORTER",
            Self::Moderator => "MODERATOR",
        }
    }

    /// The role behind the word, in any case.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str().eq_ignore_ascii_case(word))
    }
}

/// Something that not everybody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// See what is not published.
    ReadDrafts,
    /// Create articles and edit their text.
    WriteArticles,
    /// Publish, take back, alert.
    PublishArticles,
    /// Change the category tree.
    ManageCategories,
    /// Add editions.
    ManageEditions,
    /// Rule on comments.
    ModerateComments,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 6] = [
        Self::ReadDrafts,
        Self::WriteArticles,
        Self::PublishArticles,
        Self::ManageCategories,
        Self::ManageEditions,
        Self::ModerateComments,
    ];

    /// The matrix: which roles hold it.
    pub fn holders(self) -> &'static [Role] {
        match self {
            Self::ReadDrafts | Self::WriteArticles => &[Role::Admin, Role::Editor, Role::Reporter],
            Self::PublishArticles => &[Role::Admin, Role::Editor],
            Self::ManageCategories | Self::ManageEditions => &[Role::Admin],
            Self::ModerateComments => &[Role::Admin, Role::Editor, Role::Moderator],
        }
    }
}

/// Whoever is asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Viewer {
    /// A reader.
    Anonymous,
    /// A member of staff, signed in.
    Staff {
        /// The user's id.
        id: Uuid,
        /// The session that the token stands for.
        session_id: Uuid,
        /// What the user is.
        roles: Vec<Role>,
    },
    /// Khabar itself: an import, the demo, a job.
    System,
}

/// Why a viewer may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// Nobody is signed in.
    Unauthenticated,
    /// Who is signed in lacks the permission.
    Forbidden,
}

impl Viewer {
    /// Whether the viewer may.
    pub fn may(&self, permission: Permission) -> bool {
        self.check(permission).is_ok()
    }

    /// Fails with the reason if the viewer may not.
    pub fn check(&self, permission: Permission) -> Result<(), Denied> {
        match self {
            Self::Anonymous => Err(Denied::Unauthenticated),
            Self::System => Ok(()),
            Self::Staff { roles, .. } => {
                let granted = roles.iter().any(|role| permission.holders().contains(role));
                if granted { Ok(()) } else { Err(Denied::Forbidden) }
            }
        }
    }

    /// The user's id, for the record of who did what.
    pub fn user_id(&self) -> Option<Uuid> {
        match self {
            Self::Staff { id, .. } => Some(*id),
            Self::Anonymous | Self::System => None,
        }
    }
}

impl<C> From<Denied> for super::failure::Failure<C> {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unauthenticated => Self::Unauthenticated,
            Denied::Forbidden => Self::Forbidden,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn staff(roles: &[Role]) -> Viewer {
        Viewer::Staff { id: Uuid::nil(), session_id: Uuid::nil(), roles: roles.to_vec() }
    }

    #[test]
    fn readers_hold_nothing_and_admins_everything() {
        for permission in Permission::ALL {
            assert_eq!(Viewer::Anonymous.check(permission), Err(Denied::Unauthenticated));
            assert_eq!(staff(&[]).check(permission), Err(Denied::Forbidden));
            assert_eq!(staff(&[Role::Admin]).check(permission), Ok(()));
            assert_eq!(Viewer::System.check(permission), Ok(()));
        }
    }

    #[test]
    fn reporters_write_and_do_not_publish() {
        let reporter = staff(&[Role::Reporter]);
        assert!(reporter.may(Permission::WriteArticles));
        assert_eq!(reporter.check(Permission::PublishArticles), Err(Denied::Forbidden));
    }

    #[test]
    fn roles_are_read_in_any_case() {
        assert_eq!(Role::from_word("editor"), Some(Role::Editor));
        assert_eq!(Role::from_word("chief"), None);
    }
}
