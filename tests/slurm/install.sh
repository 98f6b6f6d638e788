#!/usr/bin/env bash
# Slurm and munge from Debian's packages, without their services; nothing is done where they are there.
set -euo pipefail
command -v slurmctld slurmd squeue munged > /dev/null && exit 0
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# policy-rc.d: the packages' own services are not to start; the tests start and end their own.
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod +x /usr/sbin/policy-rc.d
trap 'rm -f /usr/sbin/policy-rc.d' EXIT
apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client munge > /dev/null
