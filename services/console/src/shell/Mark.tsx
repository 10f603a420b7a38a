/** The sign of Runcast: a source and its waves. */
export function Mark({ className }: { className?: string }) {
  return (
    <svg viewBox="0 0 32 32" aria-hidden className={className}>
      <rect width="32" height="32" rx="8" fill="#5450d8" />
      <circle cx="10" cy="22" r="3" fill="#fff" />
      <g fill="none" stroke="#fff" strokeWidth="3" strokeLinecap="round">
        <path d="M10 14a8 8 0 0 1 8 8" />
        <path d="M10 7.5A14.5 14.5 0 0 1 24.5 22" opacity=".65" />
      </g>
    </svg>
  );
}
