//  timers.h - what is to happen when: a binary heap (Knuth, TAOCP 3, 5.2.3)

#ifndef TIMERS_H
#define TIMERS_H

#include <stdint.h>
#include <stddef.h>
#include <stdbool.h>

typedef struct {
    int64_t when;    //  msec, monotonic
    uint64_t id;     //  Whatever its maker likes
    void *owner;
} rk_timer_t;

//  Zeros are an empty one; rk_timers_clear frees it.
typedef struct {
    rk_timer_t *heap;
    size_t count;
    size_t room;
} rk_timers_t;

void rk_timers_add (rk_timers_t *self, rk_timer_t timer);

//  Takes out the first one if its time has come by now.
bool rk_timers_pop (rk_timers_t *self, int64_t now, rk_timer_t *timer);

//  msec from now until the first is due, at the most what most says.
int64_t rk_timers_wait (rk_timers_t *self, int64_t now, int64_t most);

//  Throw away those of an owner; returns how many.
size_t rk_timers_forget (rk_timers_t *self, const void *owner);

void rk_timers_clear (rk_timers_t *self);

void timers_test (void);

#endif
