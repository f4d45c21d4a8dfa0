//  queue_test.c - tests of queue.c

#include "queue.h"
#include "rk.h"


static void
s_push (rk_queue_t *queue, const char *text)
{
    rk_frames_t frames = {0};
    rk_frames_addstr (&frames, text);
    rk_frames_addstr (&frames, "more");
    rk_queue_push (queue, rk_parcel_new (&frames));
    rk_check (frames.count == 0);    //  They were moved
}


static bool
s_pops (rk_queue_t *queue, const char *text)
{
    rk_parcel_t *parcel = rk_queue_pop (queue);
    if (!parcel)
        return false;
    rk_frames_t frames = {0};
    rk_parcel_unpack (&parcel, &frames);
    bool same = !parcel && frames.count == 2 &&
                rk_slice_is (rk_frames_at (&frames, 0), text) &&
                rk_slice_is (rk_frames_at (&frames, 1), "more");
    rk_frames_clear (&frames);
    return same;
}


//  Everything that waits anywhere is counted once: above the limit the process is full, until a quarter has gone.

static void
s_test_full (void)
{
    size_t before = rk_queues_bytes ();
    rk_queues_limit (before + 1000);
    rk_check (!rk_queues_full ());
    rk_queues_note (1001);
    rk_check (rk_queues_bytes () == before + 1001 && rk_queues_full ());
    rk_queues_note (-100);
    rk_check (rk_queues_full ());    //  Not yet
    rk_queues_note (-901);
    rk_check (rk_queues_bytes () == before);
    rk_check (before > 750 || !rk_queues_full ());
    rk_queues_limit (SIZE_MAX);
    rk_check (!rk_queues_full ());
}


void
queue_test (void)
{
    rk_queue_t queue = {NULL, NULL, 0, 0};
    size_t before = rk_queues_bytes ();
    rk_check (!rk_queue_pop (&queue));
    s_push (&queue, "one");
    s_push (&queue, "two");
    s_push (&queue, "three");
    rk_check (queue.count == 3 && rk_queues_bytes () == before + queue.bytes);
    rk_parcel_t *first = rk_queue_pop (&queue);
    rk_queue_unshift (&queue, first);
    rk_check (s_pops (&queue, "one") && s_pops (&queue, "two"));
    s_push (&queue, "four");
    rk_check (s_pops (&queue, "three") && s_pops (&queue, "four"));
    rk_check (!rk_queue_pop (&queue) && !queue.tail && queue.bytes == 0);
    rk_check (rk_queues_bytes () == before);

    //  Put back into an empty one it is its end as well
    s_push (&queue, "one");
    rk_queue_unshift (&queue, rk_queue_pop (&queue));
    s_push (&queue, "two");
    rk_check (queue.count == 2 && s_pops (&queue, "one") && s_pops (&queue, "two"));
    s_push (&queue, "left");
    rk_queue_clear (&queue);
    rk_check (queue.count == 0 && rk_queues_bytes () == before);
    s_test_full ();
}
