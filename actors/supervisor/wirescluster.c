//  wirescluster.c - the links to the other app servers of a cluster, and the actor that has the lease

#include "curve.h"
#include "sender/peers.h"
#include "wires_priv.h"


//  The sender's own way to another app server, which has the same certificate as we have.

static zsock_t *
s_connect_peer (void *arg, const char *endpoint)
{
    rk_wires_t *self = (rk_wires_t *) arg;
    zsock_t *socket = rk_sock_new (ZMQ_DEALER, NULL, 1000);
    zsock_set_identity (socket, self->lease.name);
    zsock_set_linger (socket, 0);
    //  One that is cut off mustn't hear later what others have been asked to do by then (tcp(7), TCP_USER_TIMEOUT)
    zsock_set_tcp_maxrt (socket, RK_PEERS_FLIGHT);
    if (self->certificate) {
        zcert_apply (self->certificate, socket);
        zsock_set_curve_serverkey (socket, zcert_public_txt (self->certificate));
    }
    if (zsock_connect (socket, "%s", endpoint) == -1)
        zsock_destroy (&socket);
    return socket;
}


//  The links to the other app servers of a cluster, and the actor that has the lease: it asks Redis as workers do.

void
rk_wires_cluster (rk_wires_t *self)
{
    sender_args_t *sender = &self->sender;
    lease_args_t *lease = &self->lease;
    size_t count;
    rk_service_t *services = rk_services_of (self->services, self->workers, &count);
    *lease = (lease_args_t){
        .name = rk_config_str (self->config, "cluster/name"),
        .key = rk_config_str (self->config, "cluster/key"),
        .sender = rk_wires_socket (self, ZMQ_PUSH, ">inproc://sender",
                                   rk_wires_int (self, "sender/queue")),
        .replies = rk_wires_worker_socket (self, ZMQ_PULL, "@inproc://worker-%zu-replies",
                                           self->workers, 100),
        .index = self->workers};
    int rc = getentropy (&lease->instance, sizeof (lease->instance));
    assert (rc == 0);
    for (size_t nbr = 0; nbr < count; nbr++)
        if (services[nbr].kind == RK_REDIS &&
            streq (services[nbr].name, rk_config_str (self->config, "cluster/redis")))
            lease->redis = services[nbr].members[0];
    sender->name = lease->name;
    sender->lease = rk_wires_worker_socket (
        self, ZMQ_PUSH, ">inproc://worker-%zu-replies", self->workers, 100);
    sender->connect = s_connect_peer;
    sender->connect_arg = self;
    sender->link_most = (size_t) rk_config_int (self->config, "cluster/backlog");
    sender->peers = rk_wires_socket (self, ZMQ_ROUTER, NULL, 1000);
    //  One that connects again is the same one
    int handover = 1;
    zmq_setsockopt (zsock_resolve (sender->peers), ZMQ_ROUTER_HANDOVER, &handover,
                    sizeof (handover));
    rk_wires_bind_public (self, sender->peers, "cluster/listen");
    const char *address = rk_config_str (self->config, "cluster/address"),
               *bound = zsock_endpoint (sender->peers);
    lease->address = strdup (*address ? address : bound ? bound : "");
}
