//  commands.h - the other commands of the rookery binary. Each takes its own words, the first
//  being its name, and returns the exit status; with --help it prints its help and exits.

#ifndef COMMANDS_H
#define COMMANDS_H

int rk_command_selftest (int argc, char *argv[]);    //  selftest/selftest.c
int rk_command_bench (int argc, char *argv[]);       //  tools/bench.c
int rk_command_chat (int argc, char *argv[]);        //  tools/chat.c
int rk_command_ctl (int argc, char *argv[]);         //  tools/ctl.c
int rk_command_monitor (int argc, char *argv[]);     //  tools/monitor.c
int rk_command_top (int argc, char *argv[]);         //  tools/top.c
int rk_command_cert (int argc, char *argv[]);        //  tools/cert.c
int rk_command_token (int argc, char *argv[]);       //  tools/token.c

#endif
