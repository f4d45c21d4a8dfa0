#  peers.sh - the part of script/bench that measures this server beside Mosquitto and ejabberd; not run by itself
#
#  A broker is given the same as we: no limits, no log, nothing stored, a port of the loopback. For each figure a fresh
#  one. What they do for it is less: they know no users, look into no message, and no handler decides anything.

trap '[ -z "$server" ] || kill "$server" 2> /dev/null; wait; rm -rf "$folder"' EXIT

free_port () {
    /usr/bin/python3 -c 'import sys; sys.path.insert (0, "selftest/e2e"); from services import free_port; print (free_port ())'
}

await () {
    timeout 120 /usr/bin/python3 - "$port" <<'END'
import socket, sys, time
while True:
    try:
        socket.create_connection (("127.0.0.1", int (sys.argv[1])), 1).close ()
        break
    except OSError:
        time.sleep (0.05)
END
}

#  mosquitto.conf(5)
start_mosquitto () {
    cat > "$folder/mosquitto.conf" <<END
listener $port 127.0.0.1
allow_anonymous true
persistence false
log_type none
set_tcp_nodelay true
max_inflight_messages 0
max_queued_messages 0
user $(id -un)
END
    PATH=$PATH:/usr/sbin mosquitto -c "$folder/mosquitto.conf" > "$folder/log" 2>&1 &
    server=$!
}

#  https://docs.ejabberd.im/admin/configuration/modules/#mod-mqtt; +sbwt: its schedulers don't spin, as ours don't
start_ejabberd () {
    rm -rf "$folder/ejabberd"
    mkdir -p "$folder/ejabberd"
    cat > "$folder/ejabberd/ejabberd.yml" <<END
hosts: [localhost]
loglevel: none
auth_method: anonymous
anonymous_protocol: both
allow_multiple_connections: true
listen:
  - {port: $port, ip: "127.0.0.1", module: mod_mqtt, backlog: 1000}
modules:
  mod_mqtt: {max_queue: infinity, access_publish: {}, access_subscribe: {}}
END
    HOME=$folder EJABBERD_CONFIG_PATH=$folder/ejabberd/ejabberd.yml EJABBERD_LOG_PATH=$folder/ejabberd/log \
        ERL_LIBS=$(dirname "$(ls -d /usr/lib/*/ejabberd-* | head -1)") \
        erl +sbwt none +sbwtdcpu none +sbwtdio none +P 250000 -noinput -mnesia dir "\"$folder/ejabberd/mnesia\"" -s ejabberd > "$folder/log" 2>&1 &
    server=$!
}

#  peer NAME TITLE BENCH-OPTION...
peer () {
    port=$(free_port)
    "start_$1"
    await
    name=$1 title=$2
    shift 2
    measure "$name, $title" "mqtt://127.0.0.1:$port" "$@"
}

#  all WHAT CHATS BENCH-OPTION...
all () {
    what=$1 count=$2
    shift 2
    run "relayed, $what" chat/durability=relayed "$@" --chats "$count"
    run "stored, $what" chat/durability=stored "$@" --chats "$count"
    peer mosquitto "$what" "$@" --chats "$count"
    peer ejabberd "$what" "$@" --chats "$count"
}

all "50 pairs, window 16" "$chats" --window 16
all "50 pairs, window 1" $((chats / 4)) --window 1
all "a group of 100" $((chats / 50)) --group 100 --window 4
all "2000 chats/s" $((chats / 10)) --rate 2000
all "2000 idle connections" 1 --idle 2000
