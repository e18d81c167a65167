"""Orders to a language model in other languages than English: to set rules aside, to hide something, to hand keys over.

Each language gives the three shapes that `instructions` gives for English, as narrowly: rules that came before, a user
who shall not be told of it (and not of something else), a file of keys. What merely names one is left alone.
"""

# ruff: noqa: E501, ISC004 - one shape of one language stands in one place
from __future__ import annotations

import re

from assay.core.finding import Severity

KEY_FILE = (
    r"(?:\.ssh\b|id_(?:rsa|ed25519|ecdsa)\b|\.aws/|\.netrc\b|mcp\.json|/etc/(?:passwd|shadow)|\.git-credentials|\.kube/config"
    r"|\.docker/config|\.config/gcloud|\.azure/|\.npmrc\b|\.pypirc\b|huggingface/token|\.gnupg\b)"
)
"""Files in which people keep keys, by the places that tools keep them at."""
# What may stand between a verb of telling and the user: pronouns and articles, never the thing that is kept from them.
_IT = (
    r"(?:[\s,]+(?:es|das|dies|dem|den|der|die|het|dit|dat|hier|aan|de|cela|ceci|ça|le|la|les|lui|rien|jamais|pas|en|à|au|aux"
    r"|esto|eso|ello|nada|nunca|lo|al|a|los|las|el|isso|isto|ao|à|aos|o|os|questo|ciò|nulla|niente|mai|ne|di|об|этом|это|о|том"
    r"|ничего|никогда|niczego|o|tym|tego|ani|nic|ini|itu|hal|tentang|apa|pun|apapun|ke|kepada|pada|ai|agli|all|với|cho|điều|này))*"
    r"[\s,]+(?:\w{1,4}[’'])?"
)
_NEAR = r"[^\n.。！!？?]{0,60}?"
# Of Chinese, Japanese, Korean and Hindi, where no blank or word's end can be asked for:
# (override, conceal, to read or send: before the file's name, to read or send: after it).
_JOINED: tuple[tuple[str, str, str, str], ...] = (
    (
        r"(?:忽略|无视|無視|不要理会|忘记|忘掉|覆盖)[^\n。]{0,12}?(?:之前|以前|先前|以上|上述|上面|前面|原有|所有)[^\n。]{0,8}?(?:指令|指示|提示词|提示|命令)",
        r"(?:不要|不得|切勿|请勿|別|别|无需|禁止|绝不|不能)[^\n。，,]{0,8}?(?:(?:告诉|告訴|告知|通知|提醒)[^\n。，,]{0,3}?(?:用户|用戶|使用者|对方)(?!的)"
        r"|(?:向|对|跟)(?:用户|用戶|使用者|对方)(?:透露|提及|提起|说明|披露)(?=[。！!\s此这任本]|$)|让(?:用户|用戶|使用者|对方)(?:知道|发现|察觉))",
        r"(?:读取|讀取|打开|查看|获取|发送|上传|附上|复制|收集|传给)",
        r"(?:作为参数|发送|上传|传入|传给|附上)",
    ),
    (
        r"(?:これまで|以前|上記|前|すべて|全て)の[^\n。]{0,8}?(?:指示|命令|プロンプト)[^\n。]{0,6}?(?:無視|忘れ|破棄|従わな)",
        r"(?:ユーザー?|利用者|使用者)(?:には?|へは?)(?:この?こと[をはも]|これ[をはも]|それ[をはも]|何も|決して|絶対に|、|\s)*"
        r"(?:知らせ|伝え|言わ|教え|告げ|明かさ|話さ)(?:ない|ず|ません|るな|てはいけ|てはなら)",
        r"(?:読み|読んで|取得|開いて)",
        r"(?:読み|読んで|取得し|送信|渡し|添付|アップロード)",
    ),
    (
        r"(?:이전|앞선|위의|기존|모든)[^\n.]{0,10}?(?:지시|명령|지침|프롬프트)[^\n.]{0,8}?(?:무시|잊|따르지)",
        r"(?:사용자|유저|고객)(?:에게|한테|께)(?:는|\s|이\s?사실을|이것을|그것을|이를|아무것도|절대로?)*(?:알리지|말하지|언급하지|밝히지)\s?(?:마|않|말)",
        r"(?:읽|열어)",
        r"(?:읽|전송|보내|첨부|업로드|전달)",
    ),
    (  # Hindi, whose vowel signs are no letters of words to a regular expression
        r"(?:पिछले|पहले|ऊपर|सभी)[^\n।]{0,20}?(?:निर्देश|आदेश)[^\n।]{0,20}?(?:अनदेखा|नज़रअंदाज़|नजरअंदाज|भूल|उपेक्षा)",
        r"(?:उपयोगकर्ता|यूज़र|यूजर)(?:ओं|्स)? को(?:\s|यह|इस|इसके|कुछ|बारे|में|भी)*(?:न|मत|नहीं)\s*(?:बता|कह)",
        r"(?:पढ़|खोल)",
        r"(?:पढ़|भेज|खोल|जोड़)",
    ),
)
# Of languages with blanks: (a verb of setting aside, what came before, orders; the whole of concealing; a verb of
# reading or sending before the file's name, one behind it).
_SPACED: tuple[tuple[str, str, str, str, str, str], ...] = (
    (  # German
        r"(?:ignorier(?:e|en|t)?|missachte[nt]?|vergiss|vergesst|vergessen sie|überschreibe?)",
        r"(?:vorherig\w*|bisherig\w*|vorig\w*|früher\w*|obig\w*|vorangegangen\w*)",
        r"(?:anweisung\w*|instruktion\w*|regeln?|vorgaben?|befehle?|prompts?)",
        r"(?:(?:sag|erzähl|verrat|verrät|bericht|teil|meld)\w*(?:\s+(?:es|das|dies|sie))?\s+(?:(?:dem|den|der)\s+)?(?:be)?nutzer\w*\s+"
        r"(?:nichts?(?:\s+(?:davon|darüber|hiervon|mit)|(?=\s*(?:[.!;]|,(?!\s*(?:welch|wer|wie|was|ob|wo|warum|wann))|$)))|kein\s+wort|(?:das|dies|es|davon)\s+(?:nicht|nie))"
        r"|ohne\s+(?:das\s+)?(?:wissen|kenntnis)\s+(?:des|der)\s+(?:be)?nutzer\w*|ohne\s+dass\s+(?:der|die)\s+(?:be)?nutzer\w*\s+(?:es|das|davon)\b"
        r"|(?:verheimlich|verschweig)\w*\s+(?:es|das|dies)\s+(?:dem|den|vor)\b)",
        r"(?:lies|lese|lest|lesen sie|öffne|hole?|kopiere|sende|schicke|übermittle|füge)", "",
    ),
    (  # French
        r"(?:ignor\w+|oubli\w+|ne (?:tiens|tenez) pas compte des?|n[’']obé\w+ pas)",
        r"(?:précédent\w*|antérieur\w*|ci-dessus)",
        r"(?:instructions?|consignes?|règles?|directives?|ordres?)",
        rf"(?:ne\s+(?:le\s+|l[’'])?(?:d(?:is|ites)|révél\w+|inform\w+|mentionn\w+|préven\w+|signal\w+|parl\w+)\s(?:jamais|pas|rien){_IT}(?:utilisat|usager)\w+"
        r"|à l[’']insu (?:de l[’']|des? |du )utilisat\w+|sans en (?:informer|prévenir|avertir) l[’']utilisat\w+)",
        r"(?:li(?:s|sez|re)|ouvr\w+|récupèr\w+|copi\w+|envo\w+|transmet\w+|join\w+|inclu\w+)", "",
    ),
    (  # Spanish
        r"(?:ignor\w+|olvid\w+|haz caso omiso de|no hagas caso de|descart\w+)",
        r"(?:anterior\w*|previ[ao]s?)",
        r"(?:instrucci\w+|órdenes|ordenes|reglas?|indicaci\w+|directrices)",
        rf"(?:(?:no|nunca|jamás)\s+(?:se\s+|le\s+|lo\s+|les\s+){{0,2}}(?:dig|cuent|inform|mencion|revel|avis|habl)\w+{_IT}usuari\w+"
        r"|sin que (?:el|la|los|las) usuari\w+ lo)",
        r"(?:le(?:e|a|er)|abr\w+|obt[eé]n\w*|copi\w+|env[ií]\w+|adjunt\w+|incluy\w+|manda\w*)", "",
    ),
    (  # Portuguese
        r"(?:ignor\w+|esque\w+|desconsider\w+|desrespeit\w+)",
        r"(?:anterior\w*|pr[ée]vi[ao]s?|acima)",
        r"(?:instru[çc]\w+|ordens|regras?|diretrizes|comandos?)",
        rf"(?:(?:não|nao|nunca|jamais)\s+(?:lhe\s+|o\s+)?(?:dig|cont|inform|mencion|revel|avis|fal)\w+{_IT}(?:usu[áa]ri|utilizador)\w*"
        r"|sem que o (?:usu[áa]rio|utilizador) (?:saiba|perceba|note))",
        r"(?:lei[ao]|ler|abr[ae]|obtenh\w+|copi\w+|envi\w+|anex\w+|inclu\w+|mand\w+)", "",
    ),
    (  # Italian
        r"(?:ignor\w+|dimentic\w+|non tenere conto delle|trascur\w+)",
        r"(?:precedent\w*|qui sopra)",
        r"(?:istruzion\w+|regol\w+|ordini|direttiv\w+)",
        rf"(?:non\s+(?:lo\s+)?(?:dir|dica|dici|inform|menzion|rivel|avvis|parl)\w*{_IT}utent\w+|all[’']insaputa dell[’']utent\w+)",
        r"(?:legg\w+|apri\w*|recuper\w+|copi\w+|invi\w+|alleg\w+|includ\w+)", "",
    ),
    (  # Dutch
        r"(?:negeer|negeren|vergeet)", r"(?:vorige|eerdere|voorgaande|bovenstaande)",
        r"(?:instructies|regels|opdrachten|aanwijzingen)",
        r"(?:(?:vertel|zeg|meld)\s+(?:dit\s+|het\s+|dat\s+)?(?:aan\s+)?(?:de\s+)?gebruikers?\s+(?:hier\s+|daar\s+|er\s+)?(?:niets?|nooit)(?=\s*(?:[.!,]|$|van\b|over\b))"
        r"|(?:dit|het|dat|niets?)\s+(?:niet\s+)?aan\s+de\s+gebruikers?\s+(?:vertellen|zeggen|melden)|zonder\s+medeweten\s+van\s+de\s+gebruiker)",
        r"(?:lees|open|haal|kopieer|stuur|verzend|voeg)", "",
    ),
    (  # Russian
        r"(?:игнорир\w+|забуд\w+|не обращай\w* внимания на|пренебре\w+)",
        r"(?:предыдущ\w+|прежн\w+|вышеуказанн\w+)",
        r"(?:инструкци\w+|указани\w+|правил\w*|команд\w*)",
        rf"(?:не\s+(?:говори|сообщай|рассказывай|упоминай|раскрывай|уведомляй)\w*{_IT}пользовател\w+|(?:втайне|незаметно)\s+(?:от|для)\s+пользовател\w+)",
        r"(?:прочита\w+|прочти\w*|чита\w+|откро\w+|отправ\w+|перешли\w*|прилож\w+|скопиру\w+|переда\w+)", "",
    ),
    (  # Polish
        r"(?:zignoruj\w*|ignoruj\w*|zapomnij\w*)", r"(?:poprzedni\w+|wcześniejsz\w+|powyższ\w+)",
        r"(?:instrukcj\w+|polece\w+|zasad\w*|reguł\w*)",
        rf"nie\s+(?:mów|inform|wspominaj|ujawniaj)\w*{_IT}użytkownik\w+",
        r"(?:przeczytaj\w*|odczytaj\w*|otwórz\w*|wyślij\w*|dołącz\w*|skopiuj\w*|przekaż\w*)", "",
    ),
    (  # Turkish, where the verb comes last
        r"(?:önceki|yukarıdaki)", r"(?:talimat\w*|yönerge\w*|kural\w*|komut\w*)",
        r"(?:yok say\w*|görmezden gel\w*|unut\w*|dikkate alma\w*)",
        r"kullanıcı(?:ya|lara)\s+(?:bunu\s+|bundan\s+|hiçbir şey\s+|asla\s+)*(?:söyleme|bildirme|bahsetme)\w*",
        "", r"(?:oku\w*|gönder\w*|ekle\w*|kopyala\w*|aç(?:ıp|arak)?)",
    ),
    (  # Vietnamese
        r"(?:bỏ qua|quên|phớt lờ)", r"(?:trước|ở trên)", r"(?:chỉ dẫn|hướng dẫn|lệnh|quy tắc|chỉ thị)",
        rf"(?:không|đừng)\s+(?:được\s+)?(?:nói|báo|tiết lộ|thông báo){_IT}người dùng|đừng cho người dùng biết",
        r"(?:đọc|mở|gửi|đính kèm|sao chép)", "",
    ),
    (  # Indonesian
        r"(?:abaikan|lupakan)", r"(?:sebelumnya|di atas)", r"(?:instruksi|perintah|aturan|petunjuk)",
        rf"jangan\s+(?:pernah\s+)?(?:beri ?tahu(?:kan)?|katakan|sebutkan|ungkapkan){_IT}pengguna",
        r"(?:baca\w*|buka|kirim\w*|lampirkan|salin|sertakan)", "",
    ),
    (  # Arabic
        r"(?:تجاهل|انس|أهمل)", r"(?:السابقة|السابق|أعلاه)", r"(?:التعليمات|الأوامر|القواعد|التوجيهات)",
        r"(?:لا|دون أن)\s+(?:تخبر|تُخبر|تخبري|تقل|تذكر|تعلم)\s+(?:هذا\s+|ذلك\s+|شيئا\s+)?(?:المستخدم|للمستخدم)",
        r"(?:اقرأ|افتح|أرسل|انسخ|أرفق)", "",
    ),
)  # fmt: skip


def _patterns() -> tuple[tuple[str, str, str], ...]:
    override, conceal, take = [], [], []
    for aside, hide, before, after in _JOINED:
        override.append(aside)
        conceal.append(hide)
        take += [rf"{before}[^\n。]{{0,20}}?{KEY_FILE}", rf"{KEY_FILE}[^\n。]{{0,20}}?{after}"]
    for verb, earlier, orders, hide, before, after in _SPACED:
        # What came before may stand on either side of the orders.
        override.append(
            rf"\b{verb}\b[^\n.]{{0,30}}?(?:\b{earlier}\b[^\n.]{{0,20}}?\b{orders}|\b{orders}[^\n.]{{0,20}}?\b{earlier})"
        )
        conceal.append(rf"(?<!\w)(?:{hide})")
        if before:
            take.append(rf"\b{before}\b{_NEAR}{KEY_FILE}")
        if after:
            take.append(rf"{KEY_FILE}{_NEAR}\b{after}")
    return (
        ("override", "tells the model to set earlier instructions aside", "|".join(override)),
        ("conceal", "tells the model to hide something from the user", "|".join(conceal)),
        ("take-keys", "asks the model for keys or private files", "|".join(take)),
    )


OTHER_TONGUES = tuple(
    (kind, said, Severity.HIGH, re.compile(pattern, re.IGNORECASE)) for kind, said, pattern in _patterns()
)
