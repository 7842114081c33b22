# To be sourced: messages, and Debian packages that a task needs. They are installed when that is allowed (root, or sudo that
# does not ask); otherwise the message says which ones to install.

say() { printf '%s: %s\n' "${program:-$0}" "$*" >&2; }
fail() { say "$*"; exit 1; }

# as_root COMMAND...: runs it with root's rights; fails when there are none to be had.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  # Without a terminal sudo must not ask.
  elif command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
    sudo "$@"
  else
    fail "this must be done as root: $*"
  fi
}

# packages PACKAGE...: installs Debian packages.
packages() {
  command -v apt-get >/dev/null || fail "this is no Debian: install what Debian calls $* and try again"
  [ "$(id -u)" = 0 ] || { command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; } || fail "run as root: apt-get install $*"
  say "installing $*"
  local -a apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
  as_root "${apt[@]}" install -y --no-install-recommends "$@" >/dev/null 2>&1 ||
    { as_root "${apt[@]}" update && as_root "${apt[@]}" install -y --no-install-recommends "$@" >/dev/null; } ||
    fail "cannot install $*: do it by hand and try again"
}

# need COMMAND PACKAGE...: makes sure that COMMAND is there, from these packages if it is not.
need() {
  local command="$1"
  shift
  command -v "$command" >/dev/null && return
  packages "$@"
  command -v "$command" >/dev/null || fail "\`$command\` is still missing after installing $*"
}
