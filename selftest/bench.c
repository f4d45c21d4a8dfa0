#include "../actors/commands.h"
int
rk_command_bench (int argc, char *argv[])
{
    (void) argc;
    (void) argv;
    return 1;
}
