# shellcheck shell=bash
# What must be on the machine before set-up: Python 3.11 to 3.13 with venv, and Java 17 or newer.
# Sourced by setup.sh and lock.sh. Every refusal is one line with the command that mends it.

OLDEST_PYTHON=11
NEWEST_PYTHON=13
OLDEST_JAVA=17

fail() {
  echo "Darkroom: $*" >&2
  exit 1
}

# The command that installs a package here: system_install DEBIAN_NAMES FEDORA_NAMES.
system_install() {
  local sudo="sudo "
  [[ "$(id -u)" == 0 ]] && sudo=""
  if [[ -n "$(type -P apt-get)" ]]; then
    echo "${sudo}apt-get install -y $1"
  elif [[ -n "$(type -P dnf)" ]]; then
    echo "${sudo}dnf install -y $2"
  else
    echo "install $1 with your system's package manager"
  fi
}

# Prints "3.11.7" for a Python that starts, nothing for one that does not.
python_version() {
  "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null || true
}

is_supported_python() {
  [[ "$1" =~ ^3\.([0-9]+)\. ]] &&
    ((BASH_REMATCH[1] >= OLDEST_PYTHON && BASH_REMATCH[1] <= NEWEST_PYTHON))
}

# Sets PYTHON: the caller's, else the first suitable one on PATH.
find_python() {
  local candidates=(python3 python3.13 python3.12 python3.11) candidate version unsuited=""
  [[ -n "${PYTHON:-}" ]] && candidates=("$PYTHON")
  for candidate in "${candidates[@]}"; do
    version="$(python_version "$candidate")"
    if is_supported_python "$version"; then
      PYTHON="$candidate"
      "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$PYTHON has no venv module: $(system_install python3-venv python3-libs)"
      return
    fi
    unsuited="${unsuited:-${version:+$candidate is $version}}"
  done
  local needs="needs Python 3.$OLDEST_PYTHON to 3.$NEWEST_PYTHON"
  [[ -n "$unsuited" ]] && fail "$needs, $unsuited: PYTHON=/path/to/python3.$OLDEST_PYTHON make setup"
  [[ -n "${PYTHON:-}" ]] && fail "$needs, PYTHON=$PYTHON does not start: unset PYTHON or correct it"
  fail "$needs, found none: $(system_install 'python3 python3-venv' python3)"
}

# Prints the major version of a java command: 17 for "17.0.15", 8 for "1.8.0_392".
java_major() {
  local text
  text="$("$1" -version 2>&1)" || return 0
  [[ "$text" =~ version\ \"(1\.)?([0-9]+) ]] && echo "${BASH_REMATCH[2]}"
  return 0
}

# Prints what is wrong with the Java that Spark would start; nothing when it is fine.
java_trouble() {
  local java="${JAVA_HOME:+$JAVA_HOME/bin/}java" major
  if [[ -z "$(type -P "$java")" ]]; then
    echo "found none${JAVA_HOME:+ in JAVA_HOME=$JAVA_HOME}"
    return
  fi
  major="$(java_major "$java")"
  ((${major:-0} >= OLDEST_JAVA)) || echo "$java is version ${major:-unknown}"
}

# The oldest suitable Java that Debian's or Ubuntu's package lists offer.
java_package() {
  local version
  for version in 17 21 25; do
    if apt-cache show "openjdk-$version-jre-headless" >/dev/null 2>&1; then break; fi
    version=17
  done
  echo "openjdk-$version-jre-headless"
}

install_java() {
  local package
  apt-get update >.venv/java.log 2>&1 || true # java_package then goes by the lists that are there
  package="$(java_package)"
  echo "Set-up: no Java $OLDEST_JAVA here; as root, installing $package with apt-get"
  DEBIAN_FRONTEND=noninteractive apt-get install -y "$package" >>.venv/java.log 2>&1 ||
    fail "apt-get could not install $package: see .venv/java.log"
}

check_java() {
  local trouble remedy needs="needs Java $OLDEST_JAVA or newer"
  trouble="$(java_trouble)"
  [[ -z "$trouble" ]] && return
  if [[ -n "${JAVA_HOME:-}" ]]; then
    fail "$needs, $trouble: unset JAVA_HOME or point it to one"
  fi
  remedy="$(system_install "$(java_package)" java-17-openjdk-headless)"
  if [[ "$(id -u)" == 0 && -n "$(type -P apt-get)" ]]; then
    install_java
    trouble="$(java_trouble)"
    remedy="update-alternatives --config java"
  fi
  [[ -z "$trouble" ]] || fail "$needs, $trouble: $remedy"
}
