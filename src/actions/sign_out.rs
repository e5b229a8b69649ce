//! A member of staff signs out.

use std::convert::Infallible;

use crate::app::App;
use crate::domain::failure::Failure;
use crate::domain::viewer::Viewer;
use crate::storage;

/// Ends the viewer's session: its token is worth nothing from now on.
pub async fn sign_out(app: &App, viewer: &Viewer) -> Result<(), Failure<Infallible>> {
    let Viewer::Staff { session_id, .. } = viewer else {
        return Err(Failure::Unauthenticated);
    };
    let change = app.begin().await?;
    storage::session::delete(change.transaction(), *session_id).await?;
    change.commit().await?;
    Ok(())
}
