//! Serving and working: what is started, in which order, and how it ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::actions::agree_on_keys::{agree_on_keys, keep_up_with_keys};
use crate::actions::count_clicks::count_clicks;
use crate::actions::create_user::{FIRST_ADMIN, FirstAdmin, create_first_admin};
use crate::app::App;
use crate::cli::{causes, say};
use crate::config::{Config, local_address, without_secrets};
use crate::domain::failure::Failure;
use crate::http::{self, Edge, Metrics};
use crate::jobs::worker::Worker;
use crate::live::Tail;
use crate::{demo, graphql, keys, telemetry};

/// How long everything together may take to end, counted from the signal.
const END_TIMEOUT: Duration = Duration::from_secs(11);
/// How long the database may take to close after that.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often memory that is no longer needed is given back.
const TIDY_EVERY: Duration = Duration::from_secs(10);
/// How often it is looked whether there are other keys.
const KEYS_EVERY: Duration = Duration::from_secs(5);

/// Serves the API and works on jobs until Ctrl-C or SIGTERM.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    let metrics = telemetry::metrics()?;
    let app = App::open(config).await?;
    let listen = app.config.listen;
    let listener = listen_on(listen).await?;
    app.migrate().await?;
    agree_on_keys(&app).await.map_err(Failure::into_words)?;
    if app.config.demo {
        demo::load_once(&app).await?;
    }
    let draining = end_on_signal();
    let tail = Tail::open(&app.db).await?;
    let worker = Worker::new(app.clone(), draining.clone()).await?;
    let has_keys = Arc::new(AtomicBool::new(true));
    let edge = Edge {
        schema: graphql::build(&app, tail.live()),
        metrics: Metrics::new(app.clone(), metrics.clone()),
        health: Arc::new(vec![
            ("events", tail.health()),
            ("worker", worker.health()),
            ("keys", Arc::clone(&has_keys)),
        ]),
        draining: draining.clone(),
        under_way: TaskTracker::new(),
        app: app.clone(),
    };
    let address = listener.local_addr().context("the address of the listener")?;
    // Last of all that can fail: whoever starts the server sees the password, or there is none yet.
    let admin = create_first_admin(&app).await?;
    greet(&app, address, &admin)?;

    let background = TaskTracker::new();
    background.spawn(tail.run(draining.clone()));
    background.spawn(worker.run());
    background.spawn(write_clicks(app.clone(), draining.clone()));
    background.spawn(keep_keys(app.clone(), has_keys, draining.clone()));
    background.spawn(tidy(app.clone(), metrics, draining.clone()));
    background.close();
    let under_way = edge.under_way.clone();
    let served = async {
        http::server::serve(listener, http::router(edge), draining.clone()).await;
        under_way.close();
        tokio::join!(under_way.wait(), background.wait());
    };
    end(app, served, &draining).await
}

/// Works on jobs until Ctrl-C or SIGTERM. Shows its metrics at an address, if there is one.
pub async fn work(config: Config, watched_at: Option<SocketAddr>) -> anyhow::Result<()> {
    let app = App::open(config).await?;
    app.migrate().await?;
    agree_on_keys(&app).await.map_err(Failure::into_words)?;
    let draining = end_on_signal();
    let worker = Worker::new(app.clone(), draining.clone()).await?;
    tracing::info!("working on {}", without_secrets(&app.config.database_url));
    let background = TaskTracker::new();
    background.spawn(keep_keys(app.clone(), Arc::default(), draining.clone()));
    if let Some(watched_at) = watched_at {
        let metrics = telemetry::metrics()?;
        let listener = listen_on(watched_at).await?;
        let url = local_address(listener.local_addr().context("the address of the listener")?);
        let router = http::router_of_worker(Metrics::new(app.clone(), metrics.clone()));
        background.spawn(http::server::serve(listener, router, draining.clone()));
        background.spawn(tidy(app.clone(), metrics, draining.clone()));
        say(&format!("Khabar خبر works, and serves at {url}\n  Metrics    {url}metrics\n"))?;
    }
    background.close();
    let working = async {
        tokio::join!(worker.run(), background.wait());
    };
    end(app, working, &draining).await
}

async fn listen_on(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; is another server running there?"))
}

/// Runs until everything has ended by itself, or its time is over once the server drains; then
/// closes the database.
async fn end(
    app: App,
    running: impl Future<Output = ()>,
    draining: &CancellationToken,
) -> anyhow::Result<()> {
    let overdue = async {
        draining.cancelled().await;
        tokio::time::sleep(END_TIMEOUT).await;
    };
    tokio::select! {
        () = running => {}
        () = overdue => {
            tracing::warn!("some work did not end in time; jobs go on after the next start");
        }
    }
    // Whoever was cut may hold a connection still; the process takes it along when it ends.
    if let Ok(closed) =
        tokio::time::timeout(CLOSE_TIMEOUT, app.db.connection().close_by_ref()).await
    {
        closed.context("the database does not close")?;
    }
    tracing::info!("ended");
    Ok(())
}

/// A token that the first signal cancels. The second one ends the process at once.
fn end_on_signal() -> CancellationToken {
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        signal().await;
        tracing::info!("ending: finishing what is under way; once more ends at once");
        cancelled.cancel();
        signal().await;
        std::process::exit(130);
    });
    token
}

/// Ctrl-C or SIGTERM. Where signals cannot be heard, none ever comes.
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        tracing::error!("signals cannot be heard; end the process by SIGKILL");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Bounds what grows: addresses that were limited once, and samples that nobody has scraped.
async fn tidy(app: App, metrics: PrometheusHandle, draining: CancellationToken) {
    let mut every = tokio::time::interval(TIDY_EVERY);
    loop {
        tokio::select! {
            () = draining.cancelled() => return,
            _ = every.tick() => {
                app.limits.forget_quiet();
                metrics.run_upkeep();
            }
        }
    }
}

/// Takes up keys that came since the start, and says whether this process has all that it needs.
async fn keep_keys(app: App, has_keys: Arc<AtomicBool>, draining: CancellationToken) {
    let mut every = tokio::time::interval(KEYS_EVERY);
    let mut complained = false;
    loop {
        tokio::select! {
            () = draining.cancelled() => return,
            _ = every.tick() => {}
        }
        match keep_up_with_keys(&app).await {
            Ok(has) => {
                has_keys.store(has.newest, Ordering::Relaxed);
                if !has.master && !complained {
                    let file = app.config.data_dir.join(keys::FILE);
                    tracing::error!(
                        "{} is not the newsroom's master key any more; {}",
                        file.display(),
                        keys::WHERE_IT_IS
                    );
                }
                complained = !has.master;
            }
            // A database that does not answer is told of elsewhere.
            Err(error) if error.is::<sea_orm::DbErr>() => {
                tracing::debug!(%error, "keys cannot be looked at");
            }
            Err(error) => {
                has_keys.store(false, Ordering::Relaxed);
                if !complained {
                    tracing::error!("keys cannot be looked at: {}", causes(&error));
                }
                complained = true;
            }
        }
    }
}

/// Writes clicks down every second, and once more at the end.
async fn write_clicks(app: App, draining: CancellationToken) {
    let mut every = tokio::time::interval(Duration::from_secs(1));
    loop {
        let over = tokio::select! {
            () = draining.cancelled() => true,
            _ = every.tick() => false,
        };
        if let Err(error) = count_clicks(&app).await {
            tracing::warn!(%error, "clicks cannot be written down; trying again");
        }
        if over {
            return;
        }
    }
}

/// Tells whoever started it where everything is. The only place that prints a password.
fn greet(app: &App, listen: SocketAddr, admin: &FirstAdmin) -> anyhow::Result<()> {
    let url = local_address(listen);
    let mut lines = format!(
        "Khabar خبر serves at {url}\n  \
           Pages      {url}\n  \
           GraphiQL   {url}graphql\n  \
           Schema     {url}schema.graphql\n  \
           Health     {url}health/ready\n  \
           Data       {}\n  \
           Database   {}\n",
        app.config.data_dir.display(),
        without_secrets(&app.config.database_url),
    );
    match admin {
        FirstAdmin::AddedWith(password) => {
            lines += &format!("  Sign in    {FIRST_ADMIN} with the password {password}\n");
            lines += "             It is shown this once. Keep it. If it is lost:\n";
            lines += "             khabar user create EMAIL --role ADMIN\n";
        }
        FirstAdmin::Added => {
            lines += &format!(
                "  Sign in    {FIRST_ADMIN} with the password of KHABAR_ADMIN_PASSWORD or admin_password\n"
            );
        }
        FirstAdmin::NotNeeded if app.config.admin_password.is_some() => {
            tracing::info!(
                "admin_password (KHABAR_ADMIN_PASSWORD) is not used: there are users already"
            );
        }
        FirstAdmin::NotNeeded => {}
    }
    say(&lines)
}
