//  lease.c - keeps this app server's lease among those of its cluster
//
//  In     replies  REPLY token ok|error packed
//                  RENEW    others know more of the ring than we do
//         pipe     see rk_life_t; DRAIN gives the lease back
//  Out    redis    REDIS token packed EVAL ...
//         sender   RING EPOCH NAME ENDPOINT [-],...    who has a lease, after each renewal; with "-" who has just given it back
//  Owns   the lease.
//  Drops  nothing. While Redis doesn't answer the ring is what it was, and senders leave out whoever says nothing
//         on its links.
//
//  All leases of a cluster are fields of one hash in Redis, which a script renews and reads in one go by Redis's own clock; so
//  no two clocks need agree. It notes the list as it told it last, and when that changes the epoch: the time in msec, or one
//  more than before, so that epochs go up also when a failover has forgotten the last one.

#include "lease.h"
#include "base/pulse.h"
#include "proto/call.h"
#include "proto/pack.h"

#define LEASE "3000"    //  msec
#define RENEW 1000      //  msec between renewals
#define PATIENCE 900    //  msec until one is given up

//  KEYS: the hash. ARGV: name, instance, endpoint, msec of the lease, the epoch and list that were told last, and 1 when it has slept
//  since. 0 msec give the lease back: then others hear for a while that it has been one of them, for it has something to say yet to whoever
//  owns now what it owned. Returns the epoch, the list, and 1 when it had a lease before that has ended. Then the epoch is a new one, as for
//  one that has slept: others may have owned for a moment what it owns, also when no list has said so. That epoch is noted until it asks
//  by it: it may not have heard of it.
//
//  When nobody could renew for a while all that were alive then are still, for another lease. Who finds its name taken sees to that as well:
//  a failover may have brought back leases of processes that all have ended since. When Redis has forgotten all, as one without a disk does
//  when it is started again, who comes first brings the list: else it were the only one for a moment.
static const char s_script[] =
    "local time = redis.call ('TIME')\n"
    "local now = time[1] * 1000 + math.floor (time[2] / 1000)\n"
    "local name, instance, endpoint, lease = ARGV[1], ARGV[2], ARGV[3], tonumber "
    "(ARGV[4])\n"
    "local known, members, slept = tonumber (ARGV[5]), ARGV[6], ARGV[7] == '1'\n"
    "local all, live, left, fields = redis.call ('HGETALL', KEYS[1]), {}, {}, {}\n"
    "for nbr = 1, #all, 2 do\n"
    "    fields[all[nbr]] = all[nbr + 1]\n"
    "end\n"
    "if not fields['=seen'] and known > 0 then\n"
    "    local told = {}\n"
    "    for member in members:gmatch ('[^,]+') do\n"
    "        local field, where = member:match ('^(%S+) (.*)$')\n"
    "        fields[field] = ('%d 0 %s'):format (now + " LEASE ", where)\n"
    "        redis.call ('HSET', KEYS[1], field, fields[field])\n"
    "        told[#told + 1] = where:sub (-2) ~= ' -' and member or nil\n"
    "    end\n"
    "    table.sort (told)\n"
    "    fields['=told'] = table.concat (told, ',')\n"
    "end\n"
    "local seen = tonumber (fields['=seen'] or now)\n"
    "local pause, taken, ours = now - seen > 1500 and now - seen or 0, nil, false\n"
    "for field, value in pairs (fields) do\n"
    "    local till, whose, where = value:match ('^(%d+) (%x+) (.*)$')\n"
    "    if till and tonumber (till) + pause > now then\n"
    "        local gone = where:sub (-2) == ' -'\n"
    "        local same = whose == instance or whose == '0'\n"
    "        local own = field == name and (same and not gone or gone and lease > 0)\n"
    "        if field == name and not own and not gone and lease > 0 then\n"
    "            taken = where\n"
    "        end\n"
    "        ours = ours or own\n"
    "        if not own then\n"
    "            table.insert (gone and left or live, field .. ' ' .. where)\n"
    "            if pause > 0 then\n"
    "                redis.call ('HSET', KEYS[1], field, ('%d %s %s'):format (now "
    "+ " LEASE ", whose, where))\n"
    "            end\n"
    "        end\n"
    "    elseif field:sub (1, 1) ~= '=' then\n"
    "        redis.call ('HDEL', KEYS[1], field)\n"
    "    end\n"
    "end\n"
    "if taken then\n"
    "    redis.call ('HSET', KEYS[1], '=seen', ('%d'):format (now))\n"
    "    return {'0', taken}\n"
    "elseif lease > 0 then\n"
    "    live[#live + 1] = name .. ' ' .. endpoint\n"
    "    redis.call ('HSET', KEYS[1], name, ('%d %s %s'):format (now + lease, instance, "
    "endpoint))\n"
    "elseif ours then\n"
    "    left[#left + 1] = name .. ' ' .. endpoint .. ' -'\n"
    "    redis.call ('HSET', KEYS[1], name, ('%d %s %s -'):format (now + " LEASE
    ", instance, endpoint))\n"
    "end\n"
    "table.sort (live)\n"
    "live = table.concat (live, ',')\n"
    "local noted = tonumber (fields['=epoch'] or known)\n"
    "local epoch = math.max (noted, known)\n"
    "local new, was_lost = (fields['=new ' .. name] or '0 0'):match ('^(%d+) (%d)$')\n"
    "local lost = known > 0 and lease > 0 and not ours\n"
    "local unheard = known > 0 and tonumber (new) > known\n"
    "slept = lost or slept and not unheard\n"
    "lost = lost or unheard and was_lost == '1'\n"
    "if live ~= fields['=told'] or noted < known or slept then\n"
    "    epoch = math.max (epoch + 1, now)\n"
    "end\n"
    "if slept then\n"
    "    redis.call ('HSET', KEYS[1], '=new ' .. name, ('%d %d'):format (epoch, lost and "
    "1 or 0))\n"
    "elseif tonumber (new) > 0 and not unheard then\n"
    "    redis.call ('HDEL', KEYS[1], '=new ' .. name)\n"
    "end\n"
    "redis.call ('HSET', KEYS[1], '=told', live, '=epoch', ('%d'):format (epoch), "
    "'=seen', ('%d'):format (now))\n"
    "return {('%d'):format (epoch), table.concat ({live, unpack (left)}, ','), lost and "
    "'1' or '0'}\n";

enum { RENEWED, FAILED, OUT_REDIS, IN_REDIS, OUT_SENDER, COUNTERS };

typedef struct {
    rk_life_t life;
    lease_args_t *args;
    rk_wait_t replies;
    int64_t next;             //  msec, monotonic: when it is renewed
    uint64_t call;            //  The number of the last one
    char *epoch, *members;    //  What it said;
    int64_t woke,
        told;    //  when we had slept then, see base/pulse.h, and when it was asked last
    bool asked;    //  It isn't answered yet
    bool given_back;
    char instance[17];    //  Of this life: another one with our name isn't us
    rk_counter_t counters[COUNTERS + 1];
} s_self_t;


static void
s_renew (s_self_t *self, int64_t now, const char *msec)
{
    self->told = rk_pulse_woke (now);
    rk_call_t token = {.worker = self->args->index,
                       .call = ++self->call,
                       .asked = rk_now (),
                       .deadline = now + PATIENCE};
    const char *words[] = {self->args->key,
                           "EVAL",
                           s_script,
                           "1",
                           self->args->key,
                           self->args->name,
                           self->instance,
                           self->args->address,
                           msec,
                           self->epoch ? self->epoch : "0",
                           self->members ? self->members : "",
                           self->told != self->woke ? "1" : "0"};
    rk_pack_t pack = {NULL, 0, 0};
    for (size_t nbr = 0; nbr < sizeof (words) / sizeof (*words); nbr++)
        rk_pack_text (&pack, words[nbr], strlen (words[nbr]));
    rk_frames_t out;
    rk_frames_begin (&out);
    rk_frames_addstr (&out, "REDIS");
    rk_frames_add (&out, &token, sizeof (token));
    rk_frames_add (&out, pack.data, pack.size);
    self->asked = rk_frames_give (&out, self->args->redis) == 0;
    self->counters[OUT_REDIS].value += self->asked;
    rk_frames_clear (&out);
    rk_pack_clear (&pack);
    self->next = now + RENEW;
}


//  [ epoch members lost ]

static void
s_tell_sender (s_self_t *self, rk_slice_t packed)
{
    rk_value_t open, epoch, members, lost;
    if (!rk_unpack (&packed, &open) || open.kind != '[' || !rk_unpack (&packed, &epoch) ||
        epoch.kind != 's' || !rk_unpack (&packed, &members) || members.kind != 's') {
        self->counters[FAILED].value++;
        rk_life_complain (&self->life, "Redis answers the lease with something else");
        return;
    }
    if (rk_slice_is (epoch.text, "0")) {
        self->counters[FAILED].value++;
        if (self->epoch)    //  We had it
            rk_pulse_sleep (zclock_mono ());
        rk_life_complain (&self->life,
                          "another app server, at %.*s, has cluster/name = %s, or had it "
                          "a moment ago; it must be unique",
                          (int) members.text.size, members.text.data, self->args->name);
        return;
    }
    int64_t now = zclock_mono ();
    rk_pulse_beat (now);
    bool ended =
        rk_unpack (&packed, &lost) && lost.kind == 's' && rk_slice_is (lost.text, "1");
    if (ended)
        rk_pulse_sleep (now);
    if (ended || self->told != self->woke)    //  The epoch is new for that
        self->woke = rk_pulse_woke (now);
    self->counters[RENEWED].value++;
    zstr_free (&self->epoch);
    zstr_free (&self->members);
    self->epoch = rk_slice_dup (epoch.text);
    self->members = rk_slice_dup (members.text);
    rk_frames_t out;
    rk_frames_begin (&out);
    rk_frames_addstr (&out, "RING");
    rk_frames_add (&out, epoch.text.data, epoch.text.size);
    rk_frames_add (&out, members.text.data, members.text.size);
    //  When it is full the next one says the same
    self->counters[OUT_SENDER].value += rk_frames_give (&out, self->args->sender) == 0;
    rk_frames_clear (&out);
}


static void
s_handle_reply (s_self_t *self, rk_frames_t *frames)
{
    rk_call_t token;
    rk_slice_t text = rk_frames_at (frames, 3);
    self->counters[IN_REDIS].value++;
    if (!rk_call_read (rk_frames_at (frames, 1), &token) || token.call != self->call)
        return;    //  An older one
    self->asked = false;
    if (rk_slice_is (rk_frames_at (frames, 2), "ok"))
        s_tell_sender (self, text);
    else {
        self->counters[FAILED].value++;
        rk_life_complain (
            &self->life,
            "the lease of this app server isn't renewed: %.*s; until it is, "
            "others may take it for dead",
            (int) text.size, text.data);
    }
}


static void
s_handle_renew (s_self_t *self, rk_frames_t *frames)
{
    (void) frames;
    if (!self->asked)
        self->next = 0;
}


static const struct {
    const char *name;
    void (*handle) (s_self_t *self, rk_frames_t *frames);
} s_replies_routes[] = {
    {"REPLY", s_handle_reply},
    {"RENEW", s_handle_renew},
    {NULL, NULL},
};


static void
s_read_replies (s_self_t *self)
{
    rk_frames_t frames;
    rk_frames_begin (&frames);
    while (rk_wait_take (&self->replies, &frames)) {
        size_t row = rk_route (s_replies_routes, sizeof (*s_replies_routes),
                               rk_frames_at (&frames, 0));
        if (s_replies_routes[row].name)
            s_replies_routes[row].handle (self, &frames);
        rk_frames_clear (&frames);
    }
}


//  The lease is given back, and when Redis has said so, or says nothing, that is all.

static void
s_drain (s_self_t *self, int64_t now)
{
    if (!self->given_back) {
        s_renew (self, now, "0");
        self->given_back = true;
    }
    else if (!self->asked || now >= self->next)
        rk_life_drained (&self->life);
}


void
lease_actor (zsock_t *pipe, void *args)
{
    s_self_t self = {.args = (lease_args_t *) args,
                     .counters = {[RENEWED] = {.name = "renewed"},
                                  [FAILED] = {.name = "failed"},
                                  [OUT_REDIS] = {.name = "out:redis"},
                                  [IN_REDIS] = {.name = "in:redis"},
                                  [OUT_SENDER] = {.name = "out:sender"}}};
    self.life = (rk_life_t){
        .pipe = pipe, .name = "lease", .counters = self.counters, .owner = &self};
    rk_life_begin (&self.life, NULL);
    rk_wait_begin (&self.replies, self.args->replies);
    self.call = (uint64_t) rk_now ();    //  None of the life before
    snprintf (self.instance, sizeof (self.instance), "%" PRIx64, self.args->instance);
    rk_wait_t *items[] = {&self.life.wait, &self.replies};
    while (!self.life.terminated) {
        int64_t now = zclock_mono (), left = self.next > now ? self.next - now : 0;
        rk_wait (items, 2, self.life.draining ? 10 : left);
        if (self.life.wait.ready)
            rk_life_handle (&self.life);
        if (self.replies.ready)
            s_read_replies (&self);
        now = zclock_mono ();
        if (!self.members || !strchr (self.members, ','))
            rk_pulse_beat (now);
        if (self.life.draining)
            s_drain (&self, now);
        else if (now >= self.next)    //  Without a lease we ask who has one
            s_renew (&self, now, self.given_back ? "0" : LEASE);
    }
    rk_wait_clear (&self.replies);
    zstr_free (&self.epoch);
    zstr_free (&self.members);
    rk_pulse_stop (zclock_mono ());
    rk_life_end (&self.life);
}
