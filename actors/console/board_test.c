//  board_test.c - tests of board.c

#include "board.h"
#include "proto/json.h"


//  An answer to STATS, as the supervisor passes it on: words with a space between them.

static void
s_test_actor (rk_board_t *self, const char *text)
{
    zmsg_t *msg = rk_msg_words (text);
    rk_board_actor (self, msg);
    zmsg_destroy (&msg);
}


static void
s_test_json (rk_board_t *self)
{
    char *text = rk_board_json (self, "[]");
    rk_json_fresh ();
    cJSON *root = cJSON_Parse (text);
    rk_check (root && streq (cJSON_GetObjectItem (root, "state")->valuestring, "ready"));
    cJSON *actor = cJSON_GetArrayItem (cJSON_GetObjectItem (root, "actors"), 1);
    rk_check (streq (cJSON_GetObjectItem (actor, "name")->valuestring, "dispatcher"));
    rk_check (cJSON_GetObjectItem (actor, "mailbox")->valueint == 20);
    rk_check (cJSON_GetObjectItem (actor, "limit")->valueint == 1000);
    cJSON *arrow = cJSON_GetArrayItem (cJSON_GetObjectItem (root, "arrows"), 0);
    rk_check (streq (cJSON_GetObjectItem (arrow, "from")->valuestring, "receiver") &&
              streq (cJSON_GetObjectItem (arrow, "to")->valuestring, "dispatcher") &&
              cJSON_GetObjectItem (arrow, "rate")->valueint == 100);
    free (text);
    text = rk_board_actor_json (self, "dispatcher");
    rk_check (text && strstr (text, "it was broken"));
    free (text);
    rk_check (!rk_board_actor_json (self, "nobody"));
}


void
board_test (void)
{
    rk_json_begin ();
    rk_board_t *self = rk_board_new ();
    char *why = rk_board_unready (self);
    rk_check (streq (why, "starting"));
    zstr_free (&why);
    rk_board_state (self, "ready", "");

    //  The receiver gives 100 a second, the dispatcher takes 80 of them
    s_test_actor (self,
                  "receiver up 5 0 2000 =at_nsec 1000000000 cpu_nsec 0 out:dispatcher 0");
    s_test_actor (self, "dispatcher up 5 0 1000 =at_nsec 1000000000 in:receiver 0");
    s_test_actor (self, "receiver up 1005 0 2000 =at_nsec 2000000000 cpu_nsec 250000000 "
                        "out:dispatcher 100");
    s_test_actor (
        self, "dispatcher up 1005 0 1000 =at_nsec 2000000000 in:receiver 80 errors 3");
    rk_board_settle (self);
    rk_board_actor_t *receiver = rk_board_find (self, "receiver");
    rk_board_actor_t *dispatcher = rk_board_find (self, "dispatcher");
    rk_check (receiver && dispatcher && dispatcher->mailbox == 20);
    rk_check (receiver->busy > 0.249 && receiver->busy < 0.251);
    rk_check (rk_board_faults (dispatcher) == 3 && !rk_board_unready (self));
    rk_event_t event = {1, "log", 'E', "it was broken", {"gw.1", 4}, 7, 1};
    rk_check (
        strstr (rk_board_event (self, "dispatcher", &event), "\"msg\":\"00000007\""));
    s_test_json (self);

    //  A restart counts anew, and 5 were lost with the former life
    s_test_actor (self, "dispatcher down 0 0 1000");
    why = rk_board_unready (self);
    rk_check (streq (why, "dispatcher is down"));
    zstr_free (&why);
    s_test_actor (self, "dispatcher up 1 1 1000 =at_nsec 3000000000 in:receiver 15");
    s_test_actor (self, "dispatcher up 1 1 1000 =at_nsec 4000000000 in:receiver 15");
    rk_board_settle (self);
    rk_check (dispatcher->mailbox == 0);
    s_test_actor (self, "receiver up 2005 0 2000 =at_nsec 4000000000 out:dispatcher 107");
    rk_board_settle (self);
    rk_check (dispatcher->mailbox == 7);

    //  What a worker says that it holds, and what is on its way to it
    s_test_actor (self, "worker-1 up 1 0 500 =at_nsec 4000000000 in:all 41 =held 30");
    s_test_actor (self, "dispatcher up 1 1 1000 =at_nsec 5000000000 out:worker-1 44");
    rk_board_settle (self);
    rk_check (rk_board_find (self, "worker-1")->mailbox == 33);

    char *text = rk_board_metrics (self);
    rk_check (strstr (text, "rookery_mailbox_messages{actor=\"worker-1\"} 33\n"));
    rk_check (strstr (text, "rookery_dispatcher_errors_total{actor=\"dispatcher\"} 3\n"));
    free (text);
    rk_board_destroy (&self);
    rk_json_end ();
}
