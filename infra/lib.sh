# shellcheck shell=bash
# What deploy, undeploy, local and local-down share. Messages go to standard error; what a script may want to read, to
# standard output.
# shellcheck disable=SC2034 # some names are only for those who source this
set -euo pipefail
INFRA=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
ROOT=$(dirname "$INFRA")
cd "$ROOT"
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
DEPLOYMENT=${WEIR_DEPLOYMENT:-$ROOT/.weir/deployment.toml}
SERVICES_HOME=${WEIR_SERVICES_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/weir-services}
export AWS_PAGER=

say() { printf '%s\n' "$*" >&2; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

# The AWS CLI, cargo-lambda with zig, and cfn-lint at pinned versions, in a virtual environment of their own.
tools() {
  "$INFRA/services/aws-local" install
  PATH=$SERVICES_HOME/aws-local/bin:$(echo "$SERVICES_HOME"/aws-local/lib/python3*/site-packages/ziglang):$PATH
  export PATH
}

# Whoever we are and wherever: clear words before anything is built.
need_account() {
  local who
  : "${AWS_REGION:=${AWS_DEFAULT_REGION:-$(aws configure get region 2>/dev/null || true)}}"
  [ -n "$AWS_REGION" ] || die "no region. Name one: AWS_REGION=eu-central-1, or region in the profile (aws configure)"
  export AWS_REGION AWS_DEFAULT_REGION=$AWS_REGION
  if ! who=$(aws sts get-caller-identity --query '[Account,Arn]' --output text 2>&1); then
    say "$who"
    die "no usable AWS credentials in $AWS_REGION. Either: export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN); or AWS_PROFILE=NAME of 'aws configure'; with SSO: aws sso login, then eval \"\$(aws configure export-credentials --format env)\". What they must be allowed to: docs/deploy.md. Without an account: make local"
  fi
  ACCOUNT=${who%%[[:space:]]*}
  say "account $ACCOUNT, region $AWS_REGION${AWS_ENDPOINT_URL:+, at $AWS_ENDPOINT_URL} as ${who##*[[:space:]]}"
}

stacks() { "$SERVICES_HOME/aws-local/bin/python" "$INFRA/stacks.py" "$@"; }

# value NAME <<<"$OUTPUTS": one line's value out of what `stacks outputs` gave.
value() { sed -n "s/^$1=//p"; }

# How many stages a deployment has: what its first one was told, so that a deployment that broke off counts whole.
stages_there() {
  local first
  first=$(stacks outputs "$1-stage-0")
  if [ -z "$first" ] || grep -qE '^Status=(ROLLBACK_|CREATE_FAILED)' <<<"$first"; then echo 0; else value Parameter.Count <<<"$first"; fi
}
