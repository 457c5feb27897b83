#!/bin/sh
# Makes .venv-ryu with Ryu 4.34, for `make test-ryu`. Ryu's setup needs an old setuptools and no build isolation.
set -eu
cd "$(dirname "$0")/.."
[ -e .venv-ryu/ready ] && exit 0
/usr/bin/python3 -m venv --clear .venv-ryu
.venv-ryu/bin/python -m pip install -q --disable-pip-version-check "setuptools<81" wheel pbr
.venv-ryu/bin/python -m pip install -q --disable-pip-version-check --no-build-isolation ryu==4.34 requests==2.34.2
touch .venv-ryu/ready
