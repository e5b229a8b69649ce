# Each recipe is one command; run `just` for the list.

_list:
    @just --list

# Serve on the embedded database, with the demo newsroom
run:
    cargo run --release

# Every test: on SQLite, on PostgreSQL, in browsers
test:
    bin/test

# What alerts must survive, at length: kills, bad push services, hostile input
soak *names:
    bin/soak {{names}}

# The tests on SQLite alone
quick:
    cargo test

# The tests in Chromium and Firefox alone; name parts of files to run those
browser *names:
    cargo build
    cd tests/browser && npm ci --silent && node run.js {{names}}

# Write schema/schema.graphql anew
schema:
    UPDATE_SCHEMA=1 cargo test --test schema

# Format the code
fmt:
    cargo fmt --all

# What clippy says
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# Licences, duplicates and sources of the dependencies
deny:
    cargo deny check bans licenses sources

# Measure what is claimed about speed: `just bench push --short`
bench *what:
    bin/bench {{what}}

# Publish a story on the running server and watch it arrive
demo:
    bin/demo

# Everything that must hold before a change is taken
ci:
    .ci/run
