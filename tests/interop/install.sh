#!/bin/sh
# Installs the foreign MQTT clients that `cargo test --package dunlin-tests --test interop` runs: mosquitto_pub and
# mosquitto_sub (apt), paho-mqtt (pip), MQTT.js (npm). rumqttc comes with cargo.
#
# Idempotent, and quick when everything is there. Libraries go below the target directory, never into the repository
# and never beside the system's own; only Debian packages are installed for the whole machine, as root or with
# `sudo -n`. Exit status: 0 when every client is there, 1 when one is missing; the last lines say which, and why.

set -u

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../../target}
mkdir -p "$target/interop" || exit 1
into=$(CDPATH= cd -- "$target/interop" && pwd)
missing=

say() { printf 'interop: %s\n' "$*"; }

lack() {
    missing="$missing
interop: MISSING $1: $2"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

can_be_root() {
    [ "$(id -u)" = 0 ] || { command -v sudo >/dev/null && sudo -n true 2>/dev/null; }
}

# Installs Debian packages by name; the package lists are fetched at most once, and only when needed.
apt_updated=no
apt_install() {
    if ! command -v apt-get >/dev/null; then
        say "no apt-get here: install $* yourself"
        return 1
    fi
    if ! can_be_root; then
        say "neither root nor sudo without a password: run 'apt-get install $*' yourself"
        return 1
    fi
    if [ $apt_updated = no ]; then
        say "apt-get update"
        as_root apt-get update -qq || say "apt-get update failed, going on with the lists that are there"
        apt_updated=yes
    fi
    say "apt-get install $*"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

mosquitto() {
    if ! command -v mosquitto_pub >/dev/null || ! command -v mosquitto_sub >/dev/null; then
        apt_install mosquitto-clients || { lack mosquitto-clients "apt could not install it"; return; }
    fi
    say "mosquitto-clients: $(mosquitto_sub --help | sed -n 's/^mosquitto_sub version //p')"
}

paho() {
    venv=$into/venv
    if ! cmp -s "$here/requirements.txt" "$venv/requirements.txt" || ! "$venv/bin/python" -c 'import paho.mqtt' 2>/dev/null; then
        if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
            apt_install python3 python3-venv || { lack paho-mqtt "no python3 with venv"; return; }
        fi
        rm -rf "$venv"
        say "python3 -m venv; pip install --requirement requirements.txt"
        if ! python3 -m venv "$venv" ||
            ! "$venv/bin/python" -m pip install --quiet --require-hashes --requirement "$here/requirements.txt"; then
            lack paho-mqtt "pip could not install it"
            return
        fi
        # Last, so that an interrupted installation is made anew.
        cp "$here/requirements.txt" "$venv/requirements.txt"
    fi
    say "paho-mqtt: $("$venv/bin/python" -c 'import paho.mqtt; print(paho.mqtt.__version__)')"
}

mqtt_js() {
    folder=$into/node
    if ! cmp -s "$here/package-lock.json" "$folder/installed.json" || [ ! -f "$folder/node_modules/mqtt/package.json" ]; then
        if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
            apt_install nodejs npm || { lack MQTT.js "no node and npm"; return; }
        fi
        mkdir -p "$folder"
        cp "$here/package.json" "$here/package-lock.json" "$folder/"
        say "npm ci"
        if ! (cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error); then
            lack MQTT.js "npm could not install it"
            return
        fi
        cp "$here/package-lock.json" "$folder/installed.json"
    fi
    say "MQTT.js: $(node -p 'require(process.argv[1]).version' "$folder/node_modules/mqtt/package.json")"
}

mosquitto
paho
mqtt_js

if [ -n "$missing" ]; then
    printf '%s\n' "${missing#?}"
    exit 1
fi
