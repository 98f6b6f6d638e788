"""A Slurm of two nodes on this machine: real daemons, a munge of their own, everything in one folder and on loopback.

    bash tests/slurm/install.sh
    python tests/slurm/cluster.py snakemake --cores all --profile slurm --configfile configs/ci.yaml

runs a command on such a cluster and takes it down. Nodes node1 and node2 have two CPUs and two files that pass for GPUs
each. Partitions: main (the default), gpu, and preempt, whose jobs are requeued when one of main or gpu wants their
node, 20 s after a SIGTERM. There is no accounting database: squeue tells, and remembers jobs for ten minutes.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

NODES = ("node1", "node2")
CPUS = 2
MEMORY_MB = 64000
GPUS = 2
GRACE = 20
PROGRAMS = ("munged", "slurmctld", "slurmd", "squeue", "sbatch", "srun", "scontrol", "scancel")

CONF = """\
ClusterName=reproflow
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=10
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
MinJobAge=600
KillWait=10
EnforcePartLimits=ALL
MpiDefault=none
CommunicationParameters=NoAddrCache,NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
GresTypes=gpu
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=1-00:00:00 PriorityTier=10 PreemptMode=OFF
PartitionName=gpu Nodes=ALL MaxTime=1-00:00:00 PriorityTier=10 PreemptMode=OFF
PartitionName=preempt Nodes=ALL MaxTime=1-00:00:00 PriorityTier=1 PreemptMode=REQUEUE GraceTime={grace}
"""
NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} RealMemory={memory} Gres=gpu:{gpus}"
)


class Cluster:
    """The cluster, up inside a `with`; `environment` is what a command needs to talk to it."""

    def __init__(self) -> None:
        missing = [program for program in PROGRAMS if shutil.which(program, path=self._path()) is None]
        if missing:
            raise RuntimeError(f"{', '.join(missing)} not found; run: bash tests/slurm/install.sh")
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.conf = self.folder / "etc" / "slurm.conf"
        self.daemons: list[subprocess.Popen[bytes]] = []

    @staticmethod
    def _path() -> str:
        """Debian keeps daemons in sbin, which is not on everybody's path."""
        return os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])

    @property
    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(self.folder / "bin"), self._path()])
        return os.environ | {"PATH": path, "SLURM_CONF": str(self.conf)}

    def __enter__(self) -> Cluster:
        try:
            self._configure()
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: Any) -> None:
        """Cancels what still runs, ends the daemons, the one that was started last first, and removes the folder."""
        if len(self.daemons) > 1:
            subprocess.run(["scancel", "--user=root"], env=self.environment, capture_output=True, check=False)
            _wait(lambda: not self.run("squeue", "-h", check=False).strip(), 40, "jobs to end", strict=False)
        for daemon in reversed(self.daemons):
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self.daemons.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *command: str, check: bool = True) -> str:
        """The output of a command that talks to the cluster."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=120)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def jobs(self, form: str = "%i|%T|%P|%b|%k|%Z", *options: str) -> list[list[str]]:
        """Rows of squeue: by default id, state, partition, GPUs, comment (the rule), working directory."""
        said = self.run("squeue", "--noheader", f"--format={form}", *options)
        return [[part.strip() for part in line.split("|")] for line in said.splitlines()]

    def _configure(self) -> None:
        host = socket.gethostname()
        if not socket.gethostbyname(host).startswith("127."):
            raise RuntimeError(f"{host} is not a loopback address; put '127.0.0.1 {host}' into /etc/hosts first.")
        self.folder.chmod(0o755)
        for name in ("bin", "etc", "log", "state", "munge", *(f"spool-{node}" for node in NODES)):
            (self.folder / name).mkdir(mode=0o755)
        ports = _free_ports(1 + len(NODES))
        nodes = [
            NODE.format(name=name, host=host, port=port, cpus=CPUS, memory=MEMORY_MB, gpus=GPUS)
            for name, port in zip(NODES, ports[1:], strict=True)
        ]
        text = CONF.format(host=host, ports=ports, folder=self.folder, nodes="\n".join(nodes), grace=GRACE)
        self.conf.write_text(text)
        devices = [self.folder / f"gpu{index}" for index in range(GPUS)]
        for device in devices:
            device.touch()
        gpus = [f"NodeName={name} Name=gpu File={self.folder}/gpu[0-{GPUS - 1}]" for name in NODES]
        (self.conf.parent / "gres.conf").write_text("\n".join(["AutoDetect=off", *gpus]) + "\n")
        # Snakemake's job step calls srun without any variable of Slurm's, and this cluster is not in /etc/slurm.
        srun = self.folder / "bin" / "srun"
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={self.conf} exec {shutil.which("srun", path=self._path())} "$@"\n')
        srun.chmod(0o755)
        key = self.folder / "munge" / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)

    def _start(self) -> None:
        munge = self.folder / "munge"
        files = {name: munge / name for name in ("socket", "key-file", "pid-file", "log-file", "seed-file")}
        options = [f"--{name}={munge / 'key' if name == 'key-file' else path}" for name, path in files.items()]
        self._daemon("munged", "--foreground", "--force", *options)
        _wait((munge / "socket").exists, 20, "munge")
        self._daemon("slurmctld", "-D", "-f", str(self.conf))
        for node in NODES:
            self._daemon("slurmd", "-D", "-N", node, "-f", str(self.conf))
        ready = [word for node in NODES for word in (node, "idle")]
        told = ("sinfo", "-hNo", "%N %T", "--partition=main")
        _wait(lambda: self.run(*told, check=False).split() == ready, 60, f"idle nodes (see {self.folder}/log)")

    def _daemon(self, *command: str) -> None:
        # Linux ends the daemon when this process is gone, however it went: nothing is left running.
        command = ("setpriv", "--pdeathsig", "TERM", *command)
        with open(self.folder / "log" / f"{command[3]}-{len(self.daemons)}.out", "wb") as out:
            self.daemons.append(
                subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
            )


def _wait(done: Callable[[], Any], seconds: float, what: str, strict: bool = True) -> None:
    """Until it is done; raises `RuntimeError` after so many seconds, if strict."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            if strict:
                raise RuntimeError(f"waited {seconds:g} s in vain for {what}")
            return
        time.sleep(0.3)


def _free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def main(command: Sequence[str]) -> int:
    # So that a cluster whose command is told to stop is taken down too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Cluster() as cluster:
        return subprocess.run(command, env=cluster.environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["sinfo"]))
