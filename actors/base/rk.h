//  rk.h - what every file of the project may use

#ifndef RK_H
#define RK_H

#include "check.h"
#include "frames.h"
#include "histogram.h"
#include "life.h"
#include "log.h"
#include "path.h"
#include "queue.h"
#include "slice.h"
#include "socket.h"
#if CZMQ_VERSION < 40200
#error "CZMQ 4.2 or newer is needed"
#endif

#define RK_VERSION "0.1.0"

#endif
