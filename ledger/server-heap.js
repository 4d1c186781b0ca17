// How much memory Node may take for a server's own objects. Plain JavaScript: the launcher reads it on
// any Node from 18 on.

/**
 * Flags of Node's. What a hundred requests under way hold outlives two collections of the young
 * generation, and is garbage among the old a moment later; with the machine's gigabytes for a limit,
 * V8 lets that grow by 40 to 70 MB before it collects it, and the young generation to 64 MB. With
 * these the server is a hundred megabytes smaller, as fast, and always of one size; 384 MB are twenty
 * times what is alive in it with a hundred meters, and stay below the unit's MemoryMax with all else.
 */
export const SERVER_HEAP = ['--max-semi-space-size=8', '--max-old-space-size=384'];
