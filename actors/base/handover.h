//  handover.h - tells the thread sanitizer where memory goes from one thread to another

#ifndef HANDOVER_H
#define HANDOVER_H

//  Debian's libzmq isn't built for the thread sanitizer, which therefore can't see that a
//  message sent happens before the same message received. These two lines tell it.
#if defined(__SANITIZE_THREAD__)
void __tsan_acquire (void *addr);
void __tsan_release (void *addr);
extern char rk_handover;
#define HANDOVER_SENT() __tsan_release (&rk_handover)
#define HANDOVER_RECEIVED() __tsan_acquire (&rk_handover)
#else
#define HANDOVER_SENT() ((void) 0)
#define HANDOVER_RECEIVED() ((void) 0)
#endif

#endif
