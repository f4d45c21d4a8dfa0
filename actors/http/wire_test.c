//  wire_test.c - tests of wire.c, over a transport that keeps what it is given

#include "wire.h"

typedef struct {
    char written[4000];    //  Of each message its kind, a space, its bytes, a semicolon
    int room;              //  Messages it takes yet
    int joins, wakes;
    bool broken;
} s_fake_t;


static int
s_test_write (void *handle, unsigned char *data, size_t size, rk_wire_kind_t kind)
{
    s_fake_t *fake = (s_fake_t *) handle;
    memset (data - RK_WIRE_HEAD, 0xee, RK_WIRE_HEAD);    //  It may
    size_t at = strlen (fake->written);
    at += (size_t) sprintf (fake->written + at, "%c ", "tbpoc"[kind]);
    for (size_t nbr = 0; nbr < size; nbr++)
        fake->written[at++] = data[nbr] ? (char) data[nbr] : '0';
    strcpy (fake->written + at, ";");
    fake->room--;
    return fake->broken ? -1 : 0;
}


static bool
s_test_full (void *handle)
{
    return ((s_fake_t *) handle)->room <= 0;
}


static void
s_test_join (void *handle, bool on)
{
    ((s_fake_t *) handle)->joins += on;
}


static void
s_test_wake (void *handle)
{
    ((s_fake_t *) handle)->wakes++;
}


static void
s_test_push (rk_wire_t *wire, const char *content, const char *attachment, size_t limit,
             int expected)
{
    rk_frames_t frames = {0};
    rk_frames_addstr (&frames, "not sent");
    rk_frames_addstr (&frames, content);
    if (attachment)
        rk_frames_addstr (&frames, attachment);
    rk_check (rk_wire_push (wire, &frames, 1, limit) == expected);
    rk_frames_clear (&frames);
}


//  Gives the text in pieces of so many bytes; the last answer must be this, and the frames these.

static void
s_test_input (rk_slice_t text, size_t piece, bool binary, size_t limit,
              rk_wire_input_t expected, const char *content, const char *attachment)
{
    rk_wire_t wire = {0};
    rk_frames_t frames = {0};
    rk_wire_input_t input = RK_WIRE_PART;
    size_t before = rk_queues_bytes ();
    for (size_t at = 0; at < text.size || (!text.size && !at); at += piece) {
        rk_check (input == RK_WIRE_PART && !frames.count);
        size_t size = text.size - at < piece ? text.size - at : piece;
        input = rk_wire_input (&wire, (rk_slice_t){text.data + at, size},
                               at + size == text.size, binary, limit, &frames);
        if (!text.size)
            break;
    }
    rk_check (input == expected && !wire.rx && rk_queues_bytes () == before);
    rk_check (rk_slice_is (rk_frames_at (&frames, 0), content ? content : ""));
    rk_check (rk_slice_is (rk_frames_at (&frames, 1), attachment ? attachment : ""));
    rk_frames_clear (&frames);
    rk_wire_clear (&wire);
}


static void
s_test_out (void)
{
    static const rk_transport_t transport = {.write = s_test_write,
                                             .full = s_test_full,
                                             .join = s_test_join,
                                             .wake = s_test_wake};
    s_fake_t fake = {.room = 2};
    rk_wire_t wire = {.transport = &transport, .handle = &fake};
    rk_wire_buffer_t buffer = {0};
    s_test_push (&wire, "one", NULL, 1, 0);    //  One may always wait
    s_test_push (&wire, "two", NULL, 1, -1);
    s_test_push (&wire, "two", "ATT", 10000, 0);
    s_test_push (&wire, "three", NULL, 10000, 0);
    rk_check (rk_wire_waits (&wire) && rk_wire_flush (&wire, &buffer) == 2);
    rk_check (streq (fake.written, "t one;b 000\3twoATT;"));
    rk_check (fake.joins == 1 && fake.wakes == 1 && wire.written == 13);

    //  Pings go first, and what was full goes on
    fake.room = 100;
    *fake.written = 0;
    wire.ping = true;
    rk_frames_t pong = {0};
    rk_frames_addstr (&pong, "echo");
    rk_queue_push (&wire.pongs, rk_parcel_new (&pong));
    rk_check (rk_wire_flush (&wire, &buffer) == 1 && !rk_wire_waits (&wire));
    rk_check (streq (fake.written, "o echo;p ;t three;") && fake.wakes == 1);

    *fake.written = 0;
    wire.close_code = 'a' << 8 | 'b';
    wire.close_why = "why";
    rk_check (rk_wire_flush (&wire, &buffer) == 0 && fake.wakes == 2);
    rk_wire_write_close (&wire, &buffer);
    rk_check (streq (fake.written, "c abwhy;"));

    fake.broken = true;
    s_test_push (&wire, "four", NULL, 10000, 0);
    rk_check (rk_wire_flush (&wire, &buffer) == -1);
    rk_wire_clear (&wire);
    free (buffer.data);
}


void
wire_test (void)
{
    static const char binary[] = "\0\0\0\3{\"a\xff\xfe";
    rk_slice_t attached = {binary, sizeof (binary) - 1};
    for (size_t piece = 1; piece < 12; piece++) {
        s_test_input (rk_slice ("0123456789"), piece, false, 10, RK_WIRE_WHOLE,
                      "0123456789", NULL);
        s_test_input (rk_slice ("0123456789"), piece, false, 9, RK_WIRE_TOO_LARGE, NULL,
                      NULL);
        s_test_input (attached, piece, true, 100, RK_WIRE_WHOLE, "{\"a", "\xff\xfe");
    }
    s_test_input (rk_slice (""), 1, false, 10, RK_WIRE_EMPTY, NULL, NULL);
    s_test_input ((rk_slice_t){binary, 3}, 1, true, 10, RK_WIRE_BAD_BINARY, NULL, NULL);
    s_test_input ((rk_slice_t){binary, 6}, 2, true, 10, RK_WIRE_BAD_BINARY, NULL, NULL);
    s_test_input ((rk_slice_t){binary, 7}, 2, true, 10, RK_WIRE_WHOLE, "{\"a", NULL);
    s_test_input ((rk_slice_t){"\0\0\0\0x", 5}, 5, true, 10, RK_WIRE_BAD_BINARY, NULL,
                  NULL);
    s_test_out ();
}
