#!/usr/bin/env bash
# PostgreSQL for `make cluster`, on loopback, as root, in the folder $CLUSTER_DIR (which the user postgres
# may enter, with Patroni in the virtual environment `venv`):
#
#   nodes.sh one                 one PostgreSQL for the suite, on port 15430
#   nodes.sh up                  three machines of etcd, Patroni and PostgreSQL (ports 15431 to 15433),
#                                those that are down; waits for a primary with a synchronous standby
#   nodes.sh find ROLE           the number of the machine that is primary, standby or etcd-leader
#   nodes.sh machine|postgres|etcd|patroni N   kill -9 of all of it, or of that; patroni: it is frozen
#   nodes.sh thaw N              a frozen Patroni goes on
#   nodes.sh down                ends all of them
#
# Everything is killed by the process ids that were noted when it was started.
set -eu
dir=${CLUSTER_DIR:?a folder that the user postgres may enter}
bin=/usr/lib/postgresql/15/bin
run=$dir/run
as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups env HOME="$run" PATH="$bin:/usr/bin:/bin" "$@"; }
lives() { [ -f "$1" ] && kill -0 "$(head -1 "$1")" 2>/dev/null; }
start() { # PIDFILE LOG COMMAND...
    local pid=$1 log=$2; shift 2
    lives "$pid" && return
    setsid "$@" </dev/null >>"$log" 2>&1 &
    echo $! >"$pid"
}
mkdir -p "$run"; chown postgres: "$run"

config() { # what the README's table of settings says, and where things are
    cat >"$run/patroni$1.yml" <<YML
scope: lastseat
name: n$1
restapi: {listen: "127.0.0.1:1800$1", connect_address: "127.0.0.1:1800$1"}
etcd3: {hosts: ["127.0.0.1:12371", "127.0.0.1:12372", "127.0.0.1:12373"]}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 2
    retry_timeout: 3
    primary_start_timeout: 0
    synchronous_mode: "on"
    synchronous_mode_strict: true
    synchronous_node_count: 1
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
        shared_buffers: 128MB
        max_wal_size: 2GB
  initdb: [{encoding: UTF8}, {locale: C}, data-checksums]
postgresql:
  listen: 127.0.0.1:1543$1
  connect_address: 127.0.0.1:1543$1
  data_dir: $run/n$1
  bin_dir: $bin
  remove_data_directory_on_rewind_failure: true
  pgpass: $run/pgpass$1
  parameters: {unix_socket_directories: $run}
  authentication:
    superuser: {username: postgres, password: test}
    replication: {username: replicator, password: test}
  pg_hba: ["host replication replicator 127.0.0.1/32 trust", "host all all 127.0.0.1/32 trust", "local all all trust"]
watchdog: {mode: "off"}
YML
    chown postgres: "$run/patroni$1.yml"
}

up() {
    local peers=e1=http://127.0.0.1:12381,e2=http://127.0.0.1:12382,e3=http://127.0.0.1:12383 i
    for i in 1 2 3; do
        start "$run/etcd$i.pid" "$run/etcd$i.log" etcd --name e$i --data-dir "$run/e$i" \
            --initial-cluster $peers --initial-cluster-state new --initial-cluster-token lastseat \
            --listen-peer-urls http://127.0.0.1:1238$i --initial-advertise-peer-urls http://127.0.0.1:1238$i \
            --listen-client-urls http://127.0.0.1:1237$i --advertise-client-urls http://127.0.0.1:1237$i
    done
    for i in 1 2 3; do
        config $i
        start "$run/patroni$i.pid" "$run/patroni$i.log" \
            setpriv --reuid=postgres --regid=postgres --init-groups env HOME="$run" PATH="$bin:/usr/bin:/bin" \
            "$dir/venv/bin/patroni" "$run/patroni$i.yml"
    done
    for _ in $(seq 240); do
        if find_node primary >/dev/null && find_node standby >/dev/null && [ "$(members)" = 3 ]; then return; fi
        sleep 0.5
    done
    echo "the cluster does not come up: see $run/*.log" >&2
    exit 1
}
ask() { curl -s -m 2 "http://127.0.0.1:1800$1/$2"; }
members() { # those that run and have caught up
    { ask 1 cluster || ask 2 cluster || ask 3 cluster; } | grep -oE '"state": *"(running|streaming)"' | wc -l
}
find_node() {
    local i
    for i in 1 2 3; do
        case $1 in
        primary) [ "$(curl -s -m 2 -o /dev/null -w '%{http_code}' "http://127.0.0.1:1800$i/primary")" = 200 ] && echo $i && return ;;
        standby) [ "$(curl -s -m 2 -o /dev/null -w '%{http_code}' "http://127.0.0.1:1800$i/synchronous")" = 200 ] && echo $i && return ;;
        etcd-leader) curl -s -m 2 "http://127.0.0.1:1237$i/metrics" | grep -q '^etcd_server_is_leader 1' && echo $i && return ;;
        esac
    done
    return 1
}
postgres_pids() {
    local pid
    pid=$(head -1 "$run/n$1/postmaster.pid")
    echo "$pid" $(ps -o pid= --ppid "$pid")
}
down() {
    local i
    for i in 1 2 3; do
        lives "$run/patroni$i.pid" && kill -CONT "$(cat "$run/patroni$i.pid")" && kill "$(cat "$run/patroni$i.pid")"
    done || true
    for _ in $(seq 40); do
        lives "$run/patroni1.pid" || lives "$run/patroni2.pid" || lives "$run/patroni3.pid" || break
        sleep 0.5
    done
    for i in 1 2 3; do
        lives "$run/n$i/postmaster.pid" && kill -QUIT "$(head -1 "$run/n$i/postmaster.pid")"
        lives "$run/etcd$i.pid" && kill -9 "$(cat "$run/etcd$i.pid")"
    done || true
    [ -d "$run/one" ] && as_postgres pg_ctl -D "$run/one" -m immediate stop >/dev/null
    rm -rf "$run"
}

case $1 in
one)
    if ! [ -d "$run/one" ]; then as_postgres initdb -D "$run/one" -A trust -E UTF8 --locale C >/dev/null; fi
    as_postgres pg_ctl -D "$run/one" -l "$run/one.log" -w start >/dev/null \
        -o "-p 15430 -c listen_addresses=127.0.0.1 -c unix_socket_directories=$run -c max_connections=400"
    ;;
up) up ;;
find) find_node "$2" ;;
# A server whose postmaster is gone ends by itself, and may be quicker.
machine) kill -9 "$(cat "$run/etcd$2.pid")" "$(cat "$run/patroni$2.pid")" $(postgres_pids "$2") 2>/dev/null || true ;;
postgres) kill -9 $(postgres_pids "$2") 2>/dev/null || true ;;
etcd) kill -9 "$(cat "$run/etcd$2.pid")" ;;
patroni) kill -STOP "$(cat "$run/patroni$2.pid")" ;;
thaw) kill -CONT "$(cat "$run/patroni$2.pid")" ;;
down) down ;;
esac
