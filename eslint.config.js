import hooks from "eslint-plugin-react-hooks";
import globals from "globals";
import ts from "typescript-eslint";

export default ts.config(
  { ignores: ["**/dist/**", "**/generated/**", "services/api/**", ".venv/**", "node_modules/**"] },
  ...ts.configs.recommendedTypeChecked,
  ...ts.configs.stylisticTypeChecked,
  hooks.configs.flat.recommended,
  {
    files: ["**/*.{ts,tsx}"],
    languageOptions: {
      globals: globals.browser,
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      complexity: ["error", 14],
      "no-console": "error",
      "@typescript-eslint/no-misused-promises": [
        "error",
        { checksVoidReturn: { attributes: false } },
      ],
      "@typescript-eslint/no-unused-vars": ["error", { varsIgnorePattern: "^_", argsIgnorePattern: "^_" }],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-confusing-void-expression": "off",
      "@typescript-eslint/consistent-type-definitions": "off",
      "react-hooks/set-state-in-effect": "off",
      "react-hooks/incompatible-library": "off",
      "@typescript-eslint/prefer-nullish-coalescing": ["error", { ignorePrimitives: true }],
    },
  },
  {
    // What the API answers is typed by its own description: a copy made by hand drifts, and crashes a page.
    files: ["services/console/src/**/*.{ts,tsx}"],
    rules: {
      "no-restricted-syntax": [
        "error",
        {
          selector: "TSPropertySignature[key.name=/_/]",
          message: "Take the API's types from Schema<\"…\">: those copied by hand drift.",
        },
        {
          selector: "CallExpression[callee.property.name='json'] > TSTypeParameterInstantiation > TSTypeLiteral",
          message: "Name the answer's type: Schema<\"…\">.",
        },
      ],
    },
  },
  // Conditions in what is drawn are not branches in what is decided.
  { files: ["**/*.tsx"], rules: { complexity: ["error", 24] } },
  {
    files: ["**/*.js", "**/*.mjs", "vitest.config.ts", "**/vite.config.ts"],
    ...ts.configs.disableTypeChecked,
  },
  {
    files: ["**/test/**", "**/*.test.{ts,tsx}"],
    rules: {
      "@typescript-eslint/require-await": "off",
      "@typescript-eslint/no-unsafe-assignment": "off",
      "@typescript-eslint/no-unsafe-return": "off",
      "@typescript-eslint/no-base-to-string": "off",
    },
  },
);
