#include "../actors/commands.h"
int
rk_command_chat (int argc, char *argv[])
{
    (void) argc;
    (void) argv;
    return 1;
}
