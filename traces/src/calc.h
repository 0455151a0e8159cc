/* Tokens, expression trees and variables of the calculator. */
#ifndef CALC_H
#define CALC_H

#define NAME_SIZE 16

enum token_kind { TOKEN_NUMBER, TOKEN_NAME, TOKEN_SYMBOL, TOKEN_END };

struct token {
    enum token_kind kind;
    double number;
    char name[NAME_SIZE];
    char symbol;
};

struct lexer {
    const char *at;
    struct token token;
};

struct node {
    char operator; /* one of + - * / ^ =, 'n' for a number, 'v' for a variable, '~' for a sign */
    double number;
    char name[NAME_SIZE];
    struct node *left;
    struct node *right;
};

void lexer_start(struct lexer *lexer, const char *line);
void lexer_next(struct lexer *lexer);

struct node *parse_line(struct lexer *lexer);

struct node *tree_number(double number);
struct node *tree_variable(const char *name);
struct node *tree_operation(char operator, struct node *left, struct node *right);
int tree_depth(const struct node *node);
void tree_free(struct node *node);

double evaluate(const struct node *node);

#endif
