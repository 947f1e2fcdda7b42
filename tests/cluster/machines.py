"""A machine of the cluster: etcd, Patroni and PostgreSQL, with an address of its own. With network
namespaces it has a network of its own as well, on a line to the one in the middle, which passes
packets on between the machines; without them its address is one of loopback."""

import json
import os
import pathlib
import signal
import subprocess
import time
import urllib.request

BIN = "/usr/lib/postgresql/15/bin"

PATRONI = """\
scope: lastseat
name: {name}
restapi: {{listen: "{address}:8008", connect_address: "{address}:8008"}}
etcd3: {{hosts: [{etcds}]}}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 2
    retry_timeout: 3
    primary_start_timeout: 0
    synchronous_mode: quorum
    synchronous_mode_strict: true
    postgresql:
      use_pg_rewind: true
      use_slots: true
      parameters:
        synchronous_commit: "on"
        restart_after_crash: "off"
        wal_log_hints: "on"
        wal_sender_timeout: 5s
        wal_receiver_timeout: 5s
        max_connections: 60
        max_wal_size: 2GB
        dynamic_shared_memory_type: mmap
  initdb: [{{encoding: UTF8}}, {{locale: C}}, data-checksums]
postgresql:
  listen: "{address}:5432"
  connect_address: "{address}:5432"
  data_dir: {work}/{name}/data
  bin_dir: {bin}
  pgpass: {work}/{name}/pgpass
  remove_data_directory_on_rewind_failure: true
  parameters: {{unix_socket_directories: {work}/{name}}}
  authentication:
    superuser: {{username: postgres, password: throwaway}}
    replication: {{username: replicator, password: throwaway}}
  pg_hba: ["host replication replicator all trust", "host all all all trust", "local all all trust"]
watchdog: {{mode: "off"}}
"""


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def tree(pid):
    """The process and all that it started, directly or not."""
    children = {}
    for entry in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(entry.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        children.setdefault(parent, []).append(int(entry.parent.name))
    found, left = [], [pid]
    while left:
        found.append(left.pop())
        left += children.get(found[-1], [])
    return found


def cpu_seconds(pids):
    ticks = 0
    for pid in pids:
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        except OSError:
            continue
    return ticks / os.sysconf("SC_CLK_TCK")


def kill(pids, number=signal.SIGKILL):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


class Machine:
    def __init__(self, number, work, has_network):
        self.number = number
        self.name = f"machine{number}"
        self.work = work
        self.folder = work / self.name
        self.folder.mkdir()
        os.chown(self.folder, self.folder.parent.stat().st_uid, -1)
        self.network = None
        self.address = f"127.0.0.{10 + number}"
        self.processes = {}
        if has_network:
            self.address = f"10.77.{number}.2"
            self.make_network()

    def make_network(self):
        holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        self.network = f"/proc/{holder.pid}/ns/net"
        while os.readlink(self.network) == os.readlink("/proc/self/ns/net"):
            time.sleep(0.01)
        run("ip", "link", "add", self.name, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
        run("ip", "address", "add", f"10.77.{self.number}.1/30", "dev", self.name)
        self.inside("ip", "address", "add", f"{self.address}/30", "dev", "eth0")
        self.inside("ip", "link", "set", "lo", "up")
        self.plug_in(True)

    def inside(self, *command):
        run("nsenter", f"--net={self.network}", *command)

    def plug_in(self, is_up):
        if self.network is None:
            return
        run("ip", "link", "set", self.name, "up" if is_up else "down")
        if is_up:
            self.inside("ip", "link", "set", "eth0", "up")
            self.inside("ip", "route", "replace", "default", "via", f"10.77.{self.number}.1")

    def start_process(self, name, *command):
        enter = ["nsenter", f"--net={self.network}"] if self.network else []
        user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        environment = {"HOME": str(self.folder), "PATH": f"{BIN}:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
        with open(self.folder / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                [*enter, *user, *command],
                env=environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start(self, machines):
        """What of it is not running."""
        self.plug_in(True)
        if not self.is_running("etcd"):
            self.start_etcd(machines)
        if not self.is_running("patroni"):
            etcds = ", ".join(f'"{machine.address}:2379"' for machine in machines)
            settings = self.folder / "patroni.yml"
            settings.write_text(
                PATRONI.format(name=self.name, address=self.address, etcds=etcds, work=self.work, bin=BIN)
            )
            self.start_process("patroni", self.work / "venv/bin/patroni", settings)

    def start_etcd(self, machines):
        peers = ",".join(f"{machine.name}=http://{machine.address}:2380" for machine in machines)
        peer, client = f"http://{self.address}:2380", f"http://{self.address}:2379"
        self.start_process(
            "etcd", "/usr/bin/etcd", "--name", self.name, "--data-dir", self.folder / "etcd",
            "--initial-cluster", peers, "--initial-cluster-state", "new",
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--listen-client-urls", client, "--advertise-client-urls", client,
        )  # fmt: skip

    def is_running(self, name):
        return name in self.processes and self.processes[name].poll() is None

    def pid(self, name):
        return self.processes[name].pid

    def postgres(self):
        """All of PostgreSQL's processes."""
        try:
            postmaster = int((self.folder / "data/postmaster.pid").read_text().split()[0])
            is_ours = os.readlink(f"/proc/{postmaster}/cwd") == str(self.folder / "data")
        except (OSError, IndexError, ValueError):
            return []
        return tree(postmaster) if is_ours else []

    def all_processes(self):
        running = [self.pid(name) for name in self.processes if self.is_running(name)]
        return self.postgres() + [pid for root in running for pid in tree(root)]

    def die(self):
        """As without power: from one moment to the next it says nothing any more."""
        pids = self.all_processes()
        self.plug_in(False)
        kill(pids)
        for process in self.processes.values():
            process.wait()

    def ask(self, port, path, body=None):
        """What it answers; None if it does not."""
        try:
            with urllib.request.urlopen(f"http://{self.address}:{port}{path}", body, timeout=2) as answer:
                return json.load(answer)
        except (OSError, ValueError):
            return None

    def leads_etcd(self):
        status = self.ask(2379, "/v3/maintenance/status", b"{}")
        return status is not None and status["leader"] == status["header"]["member_id"]


class Cluster:
    def __init__(self, work, has_network):
        self.has_network = has_network
        if has_network:
            pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        self.machines = [Machine(number, work, has_network) for number in (1, 2, 3)]

    def start(self):
        for machine in self.machines:
            machine.start(self.machines)

    def end(self):
        """PostgreSQL removes its shared memory if it may."""
        for machine in self.machines:
            kill(machine.postgres()[:1], signal.SIGQUIT)
        time.sleep(1)
        for machine in self.machines:
            kill(machine.all_processes())

    def members(self):
        """As the machine sees it that leads; without one, nothing."""
        for machine in self.machines:
            told = machine.ask(8008, "/cluster") or {"members": []}
            members = {member["name"]: member for member in told["members"]}
            if members.get(machine.name, {}).get("role") == "leader":
                return members
        return {}

    def with_role(self, role):
        members = self.members()
        found = [machine for machine in self.machines if members.get(machine.name, {}).get("role") == role]
        return found[0] if found else None

    def primary(self):
        return self.with_role("leader")

    def standby(self):
        """One of those of which one has to have a sale on its disk."""
        return self.with_role("quorum_standby")

    def is_whole(self):
        members = self.members()
        states = sorted(member["state"] for member in members.values())
        return states == ["running", "streaming", "streaming"] and self.standby() is not None

    def wait_for(self, what, condition, seconds=90):
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until:
                raise RuntimeError(f"in {seconds} s still not: {what}; {self.members()}")
            time.sleep(0.2)

    def cut(self, machine, is_cut):
        """Between this machine and the two others; whoever asks from the middle still reaches all."""
        for other in self.machines:
            if other is not machine:
                for here, there in ((machine, other), (other, machine)):
                    run("ip", "rule", "add" if is_cut else "del",
                        "from", here.address, "to", there.address, "blackhole")  # fmt: skip
