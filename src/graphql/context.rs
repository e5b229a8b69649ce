//! What resolvers find beside their arguments: the application, the viewer, the loaders.

use async_graphql::{Context, Error};
use url::Url;

use super::errors::{error, rate_limited};
use super::loaders::Loaders;
use crate::app::App;
use crate::domain::viewer::{Denied, Permission, Viewer};
use crate::live::Live;
use crate::rate_limit::{ClientAddress, Limited};
use crate::storage::article::Visibility;

/// Shorthand for what the schema and the request carry.
pub trait KhabarContext {
    /// The application.
    fn app(&self) -> Result<&App, Error>;
    /// The batching look-ups.
    fn loaders(&self) -> Result<&Loaders, Error>;
    /// The event feed.
    fn live(&self) -> Result<&Live, Error>;
    /// Who is asking; a reader when the request does not say.
    fn viewer(&self) -> &Viewer;
    /// Which articles the viewer may see.
    fn visibility(&self) -> Visibility;
    /// Refuses a viewer without the permission.
    fn require(&self, permission: Permission) -> Result<(), Error>;
    /// Counts an attempt of the client's address, and refuses one too many.
    fn limit(&self, what: Limited) -> Result<(), Error>;
    /// The readers' site.
    fn public_url(&self) -> Result<&Url, Error>;
}

impl KhabarContext for Context<'_> {
    fn app(&self) -> Result<&App, Error> {
        self.data::<App>()
    }

    fn loaders(&self) -> Result<&Loaders, Error> {
        self.data::<Loaders>()
    }

    fn live(&self) -> Result<&Live, Error> {
        self.data::<Live>()
    }

    fn viewer(&self) -> &Viewer {
        self.data_opt::<Viewer>().unwrap_or(&Viewer::Anonymous)
    }

    fn visibility(&self) -> Visibility {
        if self.viewer().may(Permission::ReadDrafts) {
            Visibility::Everything
        } else {
            Visibility::Published
        }
    }

    fn require(&self, permission: Permission) -> Result<(), Error> {
        self.viewer().check(permission).map_err(|denied| match denied {
            Denied::Unauthenticated => {
                error("UNAUTHENTICATED", "sign in first: send Authorization: Bearer …")
            }
            Denied::Forbidden => error("FORBIDDEN", "your roles do not permit this"),
        })
    }

    fn limit(&self, what: Limited) -> Result<(), Error> {
        // Without an address the request came from within: the command line, or a test.
        let Some(address) = self.data_opt::<ClientAddress>() else {
            return Ok(());
        };
        self.app()?.limits.check(what, *address).map_err(rate_limited)
    }

    fn public_url(&self) -> Result<&Url, Error> {
        Ok(&self.app()?.config.public_url)
    }
}
