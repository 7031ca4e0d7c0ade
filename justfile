# The recipes of this project; CI calls the same ones. `just` alone lists them.

_list:
    @just --list --unsorted

# Everything that CI does
ready: format-check lint test simulate mappings generated deny

# Format the code
format:
    cargo fmt --all

# Is the code formatted?
format-check:
    cargo fmt --all --check

# Lints; a warning is an error
lint:
    cargo clippy --all-targets --locked -- -D warnings

# All tests: unit, rules, end to end
test:
    cargo test --locked

# The simulator: random schedules and scenarios (`cargo test` runs a fiftieth of them)
simulate schedules="100000":
    PATCHCORD_SCHEDULES={{schedules}} PATCHCORD_SCHEDULES_POSTGRES=$(( {{schedules}} / 250 )) cargo test --locked --profile sim --test sim -- --nocapture

# The mappings: every problem, every test
mappings:
    cargo run --locked --quiet -- check
    cargo run --locked --quiet -- test mappings src/sandbox

# Write what is generated from the code
generate:
    cargo run --locked --quiet -- schema --write schemas
    cargo run --locked --quiet -- docs --write docs --mappings mappings

# Is what is generated up to date?
generated:
    cargo run --locked --quiet -- schema --write schemas --check
    cargo run --locked --quiet -- docs --write docs --mappings mappings --check

# Licences, sources and bans of dependencies, as far as that works offline
deny:
    #!/usr/bin/env bash
    set -euo pipefail
    if ! command -v cargo-deny >/dev/null; then
        echo "SKIPPED: cargo-deny is not installed (cargo install --locked cargo-deny)" >&2
        exit 0
    fi
    cargo fetch --locked --quiet
    cargo deny --offline --locked check bans licenses sources

# Figures, all or by case (expression mapping lane accept to-platform to-provider moderate pace idle load restart nodes soak)
bench *cases:
    #!/usr/bin/env bash
    set -euo pipefail
    gateway=()
    for case in {{ if cases == "" { "expression mapping gateway" } else { cases } }}; do
        case $case in
            expression | mapping) cargo bench --locked --bench $case ;;
            lane) cargo test --locked --release --lib -- --ignored --nocapture a_million ;;
            gateway) cargo bench --locked --bench gateway ;;
            *) gateway+=("$case") ;;
        esac
    done
    if [ ${#gateway[@]} -gt 0 ]; then cargo bench --locked --bench gateway -- "${gateway[@]}"; fi

# The sandbox: the whole gateway on this machine, with a page to type on
sandbox *args:
    cargo run --release -- sandbox {{args}}
