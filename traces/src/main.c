/* Reads lines such as "x = 3 * (4 + 5)" and prints their values. */
#include "calc.h"
#include "libc.h"

int main(void)
{
    char line[256];
    struct lexer lexer;

    while (fgets(line, sizeof line, stdin)) {
        struct node *tree;

        lexer_start(&lexer, line);
        tree = parse_line(&lexer);
        if (tree)
            printf("%g (depth %d)\n", evaluate(tree), tree_depth(tree));
        else
            printf("cannot read this line\n");
        tree_free(tree);
    }
    return 0;
}
