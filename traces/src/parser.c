/* Tokens into a tree, by recursive descent: assignment, sum, product, power, atom. A null tree is a syntax error. */
#include "calc.h"

static struct node *parse_sum(struct lexer *lexer);

static int at_symbol(const struct lexer *lexer, char symbol)
{
    return lexer->token.kind == TOKEN_SYMBOL && lexer->token.symbol == symbol;
}

static struct node *parse_parenthesis(struct lexer *lexer)
{
    struct node *inner;

    lexer_next(lexer);
    inner = parse_sum(lexer);
    if (!inner || !at_symbol(lexer, ')')) {
        tree_free(inner);
        return 0;
    }
    lexer_next(lexer);
    return inner;
}

static struct node *parse_atom(struct lexer *lexer)
{
    struct node *node = 0;

    if (lexer->token.kind == TOKEN_NUMBER) {
        node = tree_number(lexer->token.number);
        lexer_next(lexer);
    } else if (lexer->token.kind == TOKEN_NAME) {
        node = tree_variable(lexer->token.name);
        lexer_next(lexer);
    } else if (at_symbol(lexer, '(')) {
        node = parse_parenthesis(lexer);
    } else if (at_symbol(lexer, '-')) {
        lexer_next(lexer);
        node = tree_operation('~', parse_atom(lexer), tree_number(0));
    }
    return node;
}

static struct node *parse_power(struct lexer *lexer)
{
    struct node *base = parse_atom(lexer);

    if (!base || !at_symbol(lexer, '^'))
        return base;
    lexer_next(lexer);
    return tree_operation('^', base, parse_power(lexer));
}

static struct node *parse_product(struct lexer *lexer)
{
    struct node *left = parse_power(lexer);

    while (left && (at_symbol(lexer, '*') || at_symbol(lexer, '/'))) {
        char operator = lexer->token.symbol;

        lexer_next(lexer);
        left = tree_operation(operator, left, parse_power(lexer));
    }
    return left;
}

static struct node *parse_sum(struct lexer *lexer)
{
    struct node *left = parse_product(lexer);

    while (left && (at_symbol(lexer, '+') || at_symbol(lexer, '-'))) {
        char operator = lexer->token.symbol;

        lexer_next(lexer);
        left = tree_operation(operator, left, parse_product(lexer));
    }
    return left;
}

struct node *parse_line(struct lexer *lexer)
{
    struct node *node = parse_sum(lexer);

    if (node && node->operator == 'v' && at_symbol(lexer, '=')) {
        lexer_next(lexer);
        node = tree_operation('=', node, parse_sum(lexer));
    }
    if (node && lexer->token.kind != TOKEN_END) {
        tree_free(node);
        return 0;
    }
    return node;
}
