#!/usr/bin/env bash
# Installs Chromium from Debian where it is missing; needs root. The browser tests drive it headless.
set -euo pipefail
if command -v chromium > /dev/null; then
    echo "chromium is there: $(chromium --version 2> /dev/null)"
    exit 0
fi
apt-get update -qq
apt-get install -y --no-install-recommends chromium fonts-dejavu-core
chromium --version
