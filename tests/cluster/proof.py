"""Sells on three machines and lets one part after the other die; see `three_machines`, which starts it."""

import argparse
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import uuid

from machines import BIN, Cluster, cpu_seconds, kill, tree
from sale import ENDLESS, Client, Sale

HERE = pathlib.Path(__file__).parent
CONNECTIONS = 64
MEASURED_SECONDS = 6


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Site:
    """The cluster, two lastseat nodes on it, and haproxy before them."""

    def __init__(self, program, work, has_network):
        self.program, self.work = program, work
        self.front, *self.nodes = free_ports(3)
        self.cluster = Cluster(work, has_network)
        hosts = ",".join(machine.address for machine in self.cluster.machines)
        self.url = f"postgres://postgres@{hosts}/lastseat"
        self.processes = {}

    def start(self):
        self.cluster.start()
        self.cluster.wait_for("a primary and two standbys", self.cluster.is_whole, 120)
        primary = self.cluster.primary().address
        subprocess.run([f"{BIN}/createdb", "-h", primary, "-U", "postgres", "lastseat"], check=True)
        self.start_nodes()
        environment = {"FRONT_PORT": str(self.front), "A_PORT": str(self.nodes[0]), "B_PORT": str(self.nodes[1])}
        self.start_process("haproxy", ["/usr/sbin/haproxy", "-db", "-f", HERE / "haproxy.cfg"], environment)
        self.wait_ready()

    def start_nodes(self):
        for port in self.nodes:
            running = self.processes.get(port)
            if running is None or running.poll() is not None:
                command = [self.program, "serve", "--listen", f"127.0.0.1:{port}", "--db", self.url]
                self.start_process(port, [*command, "--rate-limit", "off", "--log-level", "warn"], {})

    def start_process(self, name, command, environment):
        with open(self.work / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                command, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def wait_ready(self):
        for port in [*self.nodes, self.front]:
            client = Client(port)
            self.cluster.wait_for(f"port {port} ready", lambda: client.ask("GET", "/readyz")[0] == 200)

    def make_event(self, spots):
        body = {"name": "Measured", "total_spots": spots}
        return Client(self.nodes[0]).insist("POST", "/events", body, str(uuid.uuid4()))[1]["id"]

    def cpu_seconds(self):
        """Of all that runs, wherever it is."""
        own = [pid for process in self.processes.values() for pid in tree(process.pid)]
        return cpu_seconds(own + [pid for machine in self.cluster.machines for pid in machine.all_processes()])

    def is_sound(self):
        verified = subprocess.run([self.program, "verify", self.url], capture_output=True, text=True)
        return verified.returncode == 0, verified.stdout + verified.stderr

    def end(self):
        for process in self.processes.values():
            kill(tree(process.pid))
        self.cluster.end()


class Failure:
    """How something dies, when that has shown its effect, and how it is mended."""

    def __init__(self, site):
        self.site, self.cluster = site, site.cluster
        self.before = self.cluster.primary(), self.cluster.standby()

    def has_failed_over(self):
        primary = self.cluster.primary()
        return primary is not None and primary is not self.before[0] and self.cluster.standby() is not None

    def has_shown(self):
        return self.has_failed_over()

    def mend(self):
        self.cluster.start()


class NothingDies(Failure):
    name = "nothing (how noisy this machine is)"
    wanted = None

    def strike(self):
        pass

    def has_shown(self):
        return True


class NodeDies(NothingDies):
    name = "a lastseat node"
    wanted = 1

    def strike(self):
        kill(tree(self.site.processes[self.site.nodes[0]].pid))

    def mend(self):
        self.site.start_nodes()


class StandbyDies(Failure):
    name = "the standby's machine"
    wanted = 2

    def strike(self):
        self.before[1].die()

    def has_shown(self):
        return self.cluster.members().get(self.before[1].name, {}).get("state") != "streaming"


class EtcdLeaderDies(NothingDies):
    name = "etcd's leader"
    wanted = None

    def strike(self):
        leader = next(machine for machine in self.cluster.machines if machine.leads_etcd())
        kill([leader.pid("etcd")])

    def has_shown(self):
        return any(machine.leads_etcd() for machine in self.cluster.machines)

    def mend(self):
        self.cluster.start()


class PostgresDies(Failure):
    name = "the primary's PostgreSQL"
    wanted = 5

    def strike(self):
        kill(self.before[0].postgres())


class PatroniFreezes(Failure):
    name = "the primary's Patroni, frozen"
    wanted = None

    def strike(self):
        kill([self.before[0].pid("patroni")], signal.SIGSTOP)

    def mend(self):
        kill([self.before[0].pid("patroni")], signal.SIGCONT)


class PrimaryDies(Failure):
    name = "the primary's machine"
    wanted = 25

    def strike(self):
        self.before[0].die()


class NetworkIsCut(Failure):
    name = "the network between the primary and both others"
    wanted = None

    def strike(self):
        self.cluster.cut(self.before[0], True)

    def mend(self):
        self.cluster.cut(self.before[0], False)


FAILURES = [NodeDies, StandbyDies, EtcdLeaderDies, PostgresDies, PatroniFreezes, PrimaryDies, NetworkIsCut]


class Proof:
    def __init__(self, site):
        self.site = site
        self.acknowledged = self.lost = self.oversold = 0
        self.faults, self.rows, self.sales = [], [], []

    def go_through(self, failure):
        cluster = self.site.cluster
        sale = Sale(self.site.front, failure.name)
        time.sleep(2)
        failure.strike()
        struck = time.monotonic()
        cluster.wait_for(f"the effect of: {failure.name}", failure.has_shown)
        cluster.wait_for("sales again", lambda: sale.sold_since(time.monotonic() - 1) > 10)
        time.sleep(max(0, struck + 4 - time.monotonic()))
        failure.mend()
        cluster.wait_for("a whole cluster", cluster.is_whole)
        self.site.wait_ready()
        time.sleep(1)
        sale.close()
        self.judge(failure, sale)

    def judge(self, failure, sale):
        lost, oversold = sale.check()
        sale.check_keys(self.site.nodes)
        is_sound, said = self.site.is_sound()
        if not is_sound:
            sale.faults.append(f"lastseat verify: {said}")
        gap = sale.gap()
        self.acknowledged += len(sale.bought)
        self.lost += lost
        self.oversold += oversold
        self.faults += [f"{failure.name}: {fault}" for fault in sale.faults]
        self.rows.append((failure.name, gap, failure.wanted, len(sale.bought), len(sale.faults)))
        self.sales.append(sale)
        print(
            f"{failure.name:50} {gap:6.2f} s without a sale, {len(sale.bought):6} acknowledged "
            f"({sale.learnt_later} only when asked again), {sale.refused:5} sold out, {lost} lost, "
            f"{oversold} oversold, {len(sale.faults)} faults",
            flush=True,
        )
        for fault in sale.faults[:5]:
            print("   ", fault[:600], flush=True)

    def look_again(self):
        """What was acknowledged first has been through all that came later."""
        for sale in self.sales:
            known = len(sale.faults)
            lost, oversold = sale.check()
            self.lost, self.oversold = self.lost + lost, self.oversold + oversold
            self.faults += [f"at the end: {fault}" for fault in sale.faults[known:]]

    def result(self):
        failures = [row for row in self.rows if row[0] != NothingDies.name]
        name, gap, *_ = max(failures, key=lambda row: row[1], default=("none", 0))
        return (
            f"cluster: {len(failures)} failures, {self.acknowledged} acknowledged, {self.lost} lost, "
            f"{self.oversold} oversold, {len(self.faults)} faults, longest gap {gap:.1f} s ({name})"
        )


class Load:
    """What wrk saw through some of the nodes: answers and refusals in a second, the slowest of 100 in
    ms, and what an answer cost the site in processor time, which depends less on who else is at work."""

    def __init__(self, site, ports, spots):
        before = site.cpu_seconds()
        self.answers, self.refused, self.slowest = load(ports, site.make_event(spots), CONNECTIONS)
        self.cpu_us = (site.cpu_seconds() - before) * 1e6 / MEASURED_SECONDS / self.answers

    def __str__(self):
        return f"{self.answers:.0f}/s, p99 {self.slowest:.1f} ms, {self.cpu_us:.0f} us of processor time each"


def load(ports, event, connections):
    each = connections // len(ports)
    commands = [
        ["wrk", "-t1", f"-c{each}", f"-d{MEASURED_SECONDS}s", "--latency", "-s", HERE / "load.lua",
         f"http://127.0.0.1:{port}", "--", str(event), uuid.uuid4().hex[:8]]
        for port in ports
    ]  # fmt: skip
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    answers = refused = slowest = 0
    for process in running:
        said, _ = process.communicate(timeout=MEASURED_SECONDS + 20)
        answers += int(re.search(r"(\d+) requests in", said)[1]) / MEASURED_SECONDS
        other = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
        refused += int(other[1]) / MEASURED_SECONDS if other else 0
        number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", said).groups()
        slowest = max(slowest, float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit])
    return answers, refused, slowest


def measure(site):
    Load(site, site.nodes, ENDLESS)
    one, both = Load(site, site.nodes[:1], ENDLESS), Load(site, site.nodes, ENDLESS)
    late = Load(site, site.nodes[:1], 1)
    print(f"register, {CONNECTIONS} connections, one node: {one}")
    print(f"two nodes on one event, {both.answers / one.answers:.2f} of one: {both}")
    print(f"sold out, one node: {late}")
    for run in (one, both):
        if run.refused:
            raise RuntimeError(f"{run.refused:.0f}/s were refused what was there")
    print("load average meanwhile: %.1f, on %d processors" % (os.getloadavg()[0], os.cpu_count()), flush=True)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--program", required=True)
    arguments.add_argument("--work", required=True, type=pathlib.Path)
    arguments.add_argument("--networks", action="store_true")
    asked = arguments.parse_args()
    only = os.environ.get("FAILURES", "")
    started = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    site = Site(asked.program, asked.work, asked.networks)
    try:
        site.start()
        print(f"three machines and two nodes are up after {time.monotonic() - started:.0f} s", flush=True)
        if os.environ.get("FIGURES") != "no":
            measure(site)
        proof = Proof(site)
        for kind in [NothingDies, *FAILURES]:
            if kind is NetworkIsCut and not asked.networks:
                continue
            if re.search(only, kind.name):
                proof.go_through(kind(site))
        proof.look_again()
        print(proof.result())
        return 1 if proof.lost or proof.oversold or proof.faults else 0
    finally:
        site.end()
        if keep := os.environ.get("KEEP_LOGS"):
            logs = [*asked.work.glob("*.log"), *asked.work.glob("*/*.log")]
            for log in logs:
                (pathlib.Path(keep) / "-".join(log.relative_to(asked.work).parts)).write_bytes(log.read_bytes())


if __name__ == "__main__":
    sys.exit(main())
