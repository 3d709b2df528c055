#!/bin/sh
# Builds and tests on Alpine, in a container of node:24-alpine with the repository at /work. The
# suites are those that need no tool that only Debian has.
set -eu

apk add --no-cache bash build-base cmake curl git linux-headers openssl procps python3 rustup
rustup-init -y --quiet --profile minimal --default-toolchain "$RUSTUP_TOOLCHAIN"
export PATH="$HOME/.cargo/bin:$PATH"
# An addon is a shared library, which a statically linked C library cannot be part of.
export RUSTFLAGS="-C target-feature=-crt-static"
git config --global --add safe.directory /work

npm ci --engine-strict --no-audit --no-fund
npm run build
cargo test --locked -p monoceros-engine
npx --no-install ava \
  __test__/packing/*.spec.ts __test__/http/native.spec.ts __test__/native/*.spec.ts \
  __test__/process/load.spec.ts __test__/process/output.spec.ts \
  __test__/process/signals.spec.ts __test__/tls/serving.spec.ts
